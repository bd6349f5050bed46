// abuse FILE CASES [SEED]: spoils an ONNX file in so many ways and opens each, runs frames through those that are networks still,
// then runs the sound file with several threads, sizes and instruction sets. Built with sanitizers, which stop it.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cgnet_native.h"

using Bytes = std::vector<char>;

static bool run(cgnet_native* net, int height, int width, unsigned seed) {
  std::mt19937 random(seed);
  const auto pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  std::vector<uint8_t> frame(3 * pixels), labels(pixels);
  for (uint8_t& byte : frame) byte = static_cast<uint8_t>(random() >> 8);
  return cgnet_native_run(net, frame.data(), 1, height, width, labels.data()) == CGNET_NATIVE_OK;
}

// Threads of this process that may use one core only.
static int pinned() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    cpu_set_t cores;
    if (sched_getaffinity(std::stoi(task.path().filename()), sizeof cores, &cores) == 0) count += CPU_COUNT(&cores) == 1;
  }
  return count;
}

// A place that says what the graph is: within 64 bytes of a letter of a name, where the weights are not.
static size_t place(const Bytes& file, std::mt19937& random) {
  for (int tries = 0; tries < 1000; tries++) {
    const size_t at = random() % (file.size() - 64);
    if (std::memchr(&file[at], '/', 64) && std::memchr(&file[at], '.', 64)) return at + random() % 64;
  }
  return random() % file.size();
}

static Bytes spoiled(Bytes file, std::mt19937& random) {
  const unsigned way = random() % 10;
  if (way == 0) file.resize(random() % file.size());
  const auto at = [&] { return file.begin() + static_cast<ptrdiff_t>(place(file, random)); };
  if (way == 1) file.erase(at(), file.end() - 1);
  if (way == 2) file.insert(at(), 1 + random() % 16, static_cast<char>(random()));
  for (unsigned i = 2; i < way; i++)
    if (char& byte = *at(); random() % 2) byte = static_cast<char>(random());
    else byte = static_cast<char>(byte ^ 1 << random() % 8);
  return file;
}

int main(int count, char** arguments) {
  std::ifstream stream(arguments[1], std::ios::binary);
  const Bytes file((std::istreambuf_iterator<char>(stream)), {});
  std::mt19937 random(count > 3 ? static_cast<unsigned>(std::atoi(arguments[3])) : 7);
  int refused = 0, networks = 0;
  for (int i = 0; i < std::atoi(arguments[2]); i++) {
    const Bytes bytes = spoiled(file, random);
    cgnet_native* net = nullptr;
    switch (cgnet_native_load(bytes.data(), bytes.size(), 1, "", "", &net)) {
      case CGNET_NATIVE_OK: networks++, run(net, 40, 56, 1); break;
      case CGNET_NATIVE_BAD_INPUT: refused++; break;
      default: return std::printf("%s\n", cgnet_native_error()), 1;
    }
    if (!net && (std::strchr(cgnet_native_error(), '\n') || !*cgnet_native_error())) return 1;
    cgnet_native_close(net);
  }
  const std::pair<const char*, const char*> kinds[] = {
      {"amx", ""}, {"amx", "bf16"}, {"avx512", ""}, {"avx512", "bf16"}, {"avx_vnni", ""}, {"avx2", ""}, {"generic", ""}};
  for (const auto& [instructions, arithmetic] : kinds)
    for (const int threads : {1, 3}) {
      cgnet_native* net = nullptr;
      const cgnet_native_status status = cgnet_native_load(file.data(), file.size(), threads, instructions, arithmetic, &net);
      if (status == CGNET_NATIVE_UNAVAILABLE || (status == CGNET_NATIVE_BAD_INPUT && *arithmetic)) continue;  // int8
      if (status != CGNET_NATIVE_OK) return std::printf("%s\n", cgnet_native_error()), 1;
      for (unsigned i = 0; i < 3; i++)
        if (!run(net, i % 3 == 2 ? 75 : 97, i % 3 == 2 ? 64 : 131, i)) return 1;
      const int before = pinned();
      cgnet_native_pin(net, 1);
      if (!run(net, 97, 131, 0)) return 1;
      if (before == 0 && pinned() != threads - 1) return std::printf("%d threads are pinned\n", pinned()), 1;
      cgnet_native_close(net);
    }
  std::printf("%d refused, %d networks\n", refused, networks);
}
