// The gates of a network that runs: what they average, and by what they scale their operators.
#include <algorithm>
#include <cmath>

#include "engine.hpp"

namespace cgnet::native {

void Engine::sum_inputs(const Op& op, int y, const Thread& thread, float* sums) const {
  const int width = plan_.widths[op.level];
  for (const Source& source : op.inputs) {
    const Plane& from = plane(source);
    const PackedOut& stored = packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)];
    const auto channels = static_cast<int>(stored.order.size());
    const auto row_sums = stored.as == Element::kU8 ? kernels_->row_sums_u8 : stored.as == Element::kBf16 ? kernels_->row_sums_bf16 : kernels_->row_sums_f32;
    row_sums(at(from, thread, y), from.pixel, width, channels, sums);
    sums += channels;
  }
}

// The mean of each of a gated operator's results.
void Engine::mean_of(size_t index, float* mean) const {
  const Op& op = net_.ops[index];
  const size_t count = plan_.sums_of_row[index];
  const auto* const sums = reinterpret_cast<const float*>(memory_.data() + plan_.sums[index]);
  const int rows = plan_.heights[op.level];
  std::vector<double> total(count);
  for (size_t y = 0; y < static_cast<size_t>(rows); y++)
    for (size_t s = 0; s < count; s++) total[s] += static_cast<double>(sums[y * count + s]);
  for (double& number : total) number = number / rows / plan_.widths[op.level];
  if (!averages_inputs(op)) {
    for (size_t s = 0; s < count; s++)
      if (const int c = packed_[index].order[s]; c >= 0) mean[c] = static_cast<float>(total[s]);
    return;
  }
  std::vector<double> inputs;  // the mean of each channel that it reads
  size_t first = 0;
  for (size_t i = 0; i < op.inputs.size(); i++) {
    const Source& source = op.inputs[i];
    const PackedOut& stored = packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)];
    const size_t begin = inputs.size();
    inputs.resize(begin + static_cast<size_t>(op.input_channels[i]));
    for (size_t s = 0; s < stored.order.size(); s++)
      if (stored.order[s] >= 0)
        inputs[begin + static_cast<size_t>(stored.order[s])] = stored.as == Element::kU8 ? (total[first + s] - 128) * static_cast<double>(op.read_step) : total[first + s];
    first += stored.order.size();
  }
  for (size_t q = 0; q < static_cast<size_t>(op.channels); q++) {
    double sum = op.bias[q];
    for (size_t c = 0; c < inputs.size(); c++) sum += static_cast<double>(op.weight[q * inputs.size() + c]) * inputs[c];
    mean[q] = static_cast<float>(sum);
  }
}

void Engine::gate(size_t index) {
  const Gate& gate = net_.gates[index];
  const auto channels = static_cast<size_t>(gate.channels), hidden = static_cast<size_t>(gate.hidden);
  std::vector<float> mean(channels), squeezed(gate.squeeze_bias);
  for (size_t i = 0; i < net_.ops.size(); i++)
    if (net_.ops[i].gate == static_cast<int>(index)) mean_of(i, mean.data() + net_.ops[i].gate_channel);
  for (size_t k = 0; k < hidden; k++) {
    for (size_t c = 0; c < channels; c++) squeezed[k] += gate.squeeze[k * channels + c] * mean[c];
    squeezed[k] = std::max(squeezed[k], 0.0f);
  }
  for (size_t i = 0; i < net_.ops.size(); i++) {
    const Op& op = net_.ops[i];
    if (op.gate != static_cast<int>(index)) continue;
    auto* const to = reinterpret_cast<float*>(memory_.data() + plan_.gated[i]);
    const auto slots = static_cast<size_t>(packed_[i].slots);
    for (size_t s = 0; s < slots; s++) {
      if (packed_[i].order[s] < 0) continue;
      const auto c = static_cast<size_t>(op.gate_channel + packed_[i].order[s]);
      float sum = gate.excite_bias[c];
      for (size_t k = 0; k < hidden; k++) sum += gate.excite[c * hidden + k] * squeezed[k];
      const float factor = 1 / (1 + std::exp(-sum));
      to[s] = packed_[i].scale.floats()[s] * factor;
      to[slots + s] = packed_[i].bias.floats()[s] * factor;
    }
  }
}

}  // namespace cgnet::native
