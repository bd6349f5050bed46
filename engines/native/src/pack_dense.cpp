#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "levels.hpp"
#include "packing.hpp"
#include "steps.hpp"

namespace cgnet::native {
namespace {

// The nearest bf16; the even one of two.
uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// (channels, each) to the kernels' order: for each block of vectors and each step, kElements of every slot.
template <size_t kElements, class T>
void interleave(const Kernels& kernels, const std::vector<int>& elements, const PackedOp& op, size_t lanes, size_t each,
                const T* from, T* to) {
  const auto vectors = static_cast<size_t>(op.vectors);
  auto size = static_cast<size_t>(kernels.most_vectors);
  for (size_t begin = 0; begin < vectors; begin += size) {
    while (size > vectors - begin) size /= 2;
    for (size_t e = 0; e < elements.size(); e += kElements)
      for (size_t slot = begin * lanes; slot < (begin + size) * lanes; slot++, to += kElements)
        if (const int channel = op.order[slot]; channel >= 0)
          for (size_t i = 0; i < kElements; i++)
            if (elements[e + i] >= 0) to[i] = from[static_cast<size_t>(channel) * each + static_cast<size_t>(elements[e + i])];
  }
}

}  // namespace

void pack_dense(const Packing& packing, const Op& op, double inverse, PackedOp& to) {
  const Network& net = packing.net;
  const Kernels& kernels = packing.kernels;
  const bool image = op.kind == Op::kImage;
  const Element element = reads(op, net, kernels);
  const auto inputs = static_cast<size_t>(image ? 3 : 0);
  size_t width = inputs;
  for (const int count : op.input_channels) width += static_cast<size_t>(count);
  const auto kernel = static_cast<size_t>(op.kernel), taps = kernel * kernel;
  const auto multiple = static_cast<size_t>(element == Element::kF32 ? 1 : 4 / bytes_of(element) * kernels.run_steps);
  // Which weight each step's element has: input channel * taps + tap, -1 for none.
  std::vector<int> elements;
  std::vector<RunOf> runs;
  const auto run = [&](const std::vector<int>& order, int first, size_t dy, int source) {
    const size_t begin = elements.size();
    for (size_t dx = 0; dx < kernel; dx++)
      for (const int channel : order)
        elements.push_back(channel < 0 ? -1 : static_cast<int>((static_cast<size_t>(first + channel)) * taps + dy * kernel + dx));
    while (elements.size() % multiple) elements.push_back(-1);
    runs.push_back({static_cast<int>(elements.size() - begin) / 4, source});
  };
  std::vector<int> colours(3);
  for (int i = 0; i < 3; i++) colours[static_cast<size_t>(net.order[i])] = i;
  int first = 0;
  if (image)
    for (size_t dy = 0; dy < kernel; dy++) run(colours, 0, dy, -1);
  for (size_t i = 0; i < op.inputs.size(); i++) {
    for (size_t dy = 0; dy < kernel; dy++) run(packing.plane(op.inputs[i]).order, first, dy, static_cast<int>(i));
    first += op.input_channels[i];
  }
  const size_t each = width * taps, lanes = static_cast<size_t>(kernels.lanes);
  auto slots = static_cast<size_t>(to.slots);
  std::vector<float> scaled;
  if (image && net.int8)
    for (size_t i = 0; i < op.weight.size(); i++) scaled.push_back(op.weight[i] * net.scale[i / taps % 3]);
  const float* const weight = scaled.empty() ? op.weight.data() : scaled.data();
  std::vector<int8_t> level(net.int8 ? op.weight.size() : 0);
  std::vector<float> scale(static_cast<size_t>(op.channels)), bias = op.bias;
  for (size_t q = 0; q < scale.size(); q++) {
    double step = 1, offset = op.bias[q];
    if (net.int8) {
      int8_t* const levels_of = level.data() + q * each;
      levels(net, kernels, op, weight + q * each, each, q, elements, step, levels_of);
      if (!image) step *= op.read_step;
      for (size_t i = 0; i < width; i++) {
        const double zero = image ? static_cast<double>(net.mean[i]) : 128;
        offset -= std::accumulate(levels_of + i * taps, levels_of + (i + 1) * taps, 0) * step * (zero - kernels.dense_centre);
      }
    }
    scale[q] = static_cast<float>(step * inverse);
    bias[q] = static_cast<float>(offset * inverse);
  }
  // What nobody computes keeps what another map left there, and in bf16 that may be no number, also times nothing.
  if (!kernels.dense_bf16)
    while (slots > 0 && to.order[slots - 1] < 0) slots--;
  slots = (slots + lanes - 1) / lanes * lanes;
  to.vectors = static_cast<int>(slots / lanes);
  to.weights = Block(elements.size() * slots * static_cast<size_t>(bytes_of(element)));
  if (element == Element::kU8) {
    interleave<4>(kernels, elements, to, lanes, each, level.data(), reinterpret_cast<int8_t*>(to.weights.data()));
  } else if (element == Element::kBf16) {
    std::vector<uint16_t> rounded(op.weight.size());
    std::transform(op.weight.begin(), op.weight.end(), rounded.begin(), to_bf16);
    interleave<2>(kernels, elements, to, lanes, each, rounded.data(), reinterpret_cast<uint16_t*>(to.weights.data()));
  } else {
    interleave<1>(kernels, elements, to, lanes, each, weight, to.weights.floats());
  }
  if (net.int8 && kernels.most_weight < 127) order_steps(to, runs, lanes, static_cast<size_t>(kernels.most_vectors));
  to.scale = per_slot(scale, to.order);
  to.bias = per_slot(bias, to.order);
}

}  // namespace cgnet::native
