// Scores to labels: enlarged eight times, row by row, and compared.
#include <algorithm>

#include "engine.hpp"

namespace cgnet::native {
namespace {

// Where row or column `i` of `large` lies among `small`, as torch's interpolate has it without align_corners.
void between(int i, int small, int large, int& before, int& after, float& weight) {
  const float scale = static_cast<float>(small) / static_cast<float>(large);
  const float at = std::max((static_cast<float>(i) + 0.5f) * scale - 0.5f, 0.0f);
  before = std::min(static_cast<int>(at), small - 1);
  after = std::min(before + 1, small - 1);
  weight = at - static_cast<float>(before);
}

}  // namespace

void Engine::place_columns() {
  const size_t columns = plan_.enlarged_stride;
  left_.assign(columns, 0), right_.assign(columns, 0), weight_.assign(columns, 0);
  for (size_t x = 0; x < columns; x++)
    between(std::min(static_cast<int>(x), plan_.width - 1), plan_.widths[3], plan_.width, left_[x], right_[x], weight_[x]);
}

void Engine::scores(float* to) const {
  if (!pool_) throw Error("no frame was run yet");
  const Plane& scores = plane(net_.scores);
  const auto classes = static_cast<size_t>(net_.classes);
  const auto h = static_cast<size_t>(plan_.heights[3]), w = static_cast<size_t>(plan_.widths[3]);
  for (size_t y = 0; y < h; y++)
    for (size_t x = 0; x < w; x++) {
      const auto* const pixel = reinterpret_cast<const float*>(at(scores, own_[0], static_cast<int>(y)) + static_cast<ptrdiff_t>(x) * scores.pixel);
      for (size_t k = 0; k < classes; k++) to[(k * h + y) * w + x] = pixel[k];
    }
}

void Engine::enlarge_row(int y, float* to) const {
  const Plane& scores = plane(net_.scores);
  const uint8_t* const row = at(scores, own_[0], y);
  const auto width = static_cast<size_t>(plan_.widths[3]);
  std::vector<float> line(width + 32);  // of one class; vectors are read beyond the end
  for (size_t k = 0; k < static_cast<size_t>(net_.classes); k++) {
    for (size_t x = 0; x < width; x++) line[x] = reinterpret_cast<const float*>(row + static_cast<ptrdiff_t>(x) * scores.pixel)[k];
    kernels_->enlarge(line.data(), left_.data(), right_.data(), weight_.data(), plan_.width, to + k * plan_.enlarged_stride);
  }
}

void Engine::label_rows(int begin, int end, Thread& thread) {
  float* rows[2];
  for (size_t i = 0; i < 2; i++) rows[i] = reinterpret_cast<float*>(thread.memory.data() + plan_.enlarged[i]);
  for (int y = begin; y < end; y++) {
    int wanted[2];
    float weight;
    between(y, plan_.heights[3], plan_.height, wanted[0], wanted[1], weight);
    int slot[2];
    for (int i = 0; i < 2; i++) {
      int s = thread.enlarged[0] == wanted[i] ? 0 : thread.enlarged[1] == wanted[i] ? 1 : -1;
      if (s < 0) {
        s = thread.enlarged[0] == wanted[1 - i] ? 1 : 0;  // not over the other one
        enlarge_row(wanted[i], rows[s]);
        thread.enlarged[s] = wanted[i];
      }
      slot[i] = s;
    }
    kernels_->labels({rows[slot[0]], rows[slot[1]], weight, net_.classes, plan_.width,
                      static_cast<ptrdiff_t>(plan_.enlarged_stride), labels_ + static_cast<size_t>(y) * static_cast<size_t>(plan_.width)});
  }
}

}  // namespace cgnet::native
