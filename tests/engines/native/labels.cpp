// labels FILE INSTRUCTIONS HEIGHT WIDTH THREADS ARITHMETIC: one frame from stdin to its labels, and then the scores, on stdout.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cgnet_native.h"

int main(int, char** arguments) {
  cgnet_native* net = nullptr;
  const int height = std::atoi(arguments[3]), width = std::atoi(arguments[4]);
  const auto pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  std::vector<uint8_t> frame(3 * pixels), labels(pixels);
  if (std::fread(frame.data(), 1, frame.size(), stdin) != frame.size()) return 1;
  auto status = cgnet_native_open(arguments[1], std::atoi(arguments[5]), arguments[2], arguments[6], &net);
  if (!status) status = cgnet_native_run(net, frame.data(), 1, height, width, labels.data());
  if (status) return std::fprintf(stderr, "%s\n", cgnet_native_error()), static_cast<int>(status);
  const int h = (height + 7) / 8, w = (width + 7) / 8;
  std::vector<float> scores(static_cast<size_t>(cgnet_native_classes(net)) * static_cast<size_t>(h * w));
  cgnet_native_scores(net, scores.data());
  std::fwrite(labels.data(), 1, labels.size(), stdout);
  std::fwrite(scores.data(), sizeof(float), scores.size(), stdout);
  cgnet_native_close(net);
}
