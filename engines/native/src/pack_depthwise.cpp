#include <algorithm>
#include <cstdint>
#include <numeric>

#include "levels.hpp"
#include "packing.hpp"

namespace cgnet::native {
namespace {

// Where a depthwise result's channels, in their order, are among those of its map.
void place(const Packing& packing, const Op& op, const std::vector<int>& map, PackedOp& to) {
  const int lanes = packing.net.int8 ? packing.kernels.group(to.slots) / 4 : packing.kernels.lanes;
  to.lane.resize(to.order.size());
  for (size_t begin = 0; begin < to.order.size(); begin += static_cast<size_t>(lanes)) {
    int32_t first = -1;
    for (size_t slot = begin; slot < begin + static_cast<size_t>(lanes); slot++) {
      const int channel = to.order[slot], from = channel < 0 ? -1 : op.from[static_cast<size_t>(channel)];
      if (from < 0) continue;
      const auto at = static_cast<int32_t>(std::find(map.begin(), map.end(), from) - map.begin());
      if (first < 0) first = at;
      to.lane[slot] = at - first;
    }
    to.first.push_back(std::max(first, 0));
  }
}

}  // namespace

size_t mixed(size_t element, size_t group) {
  const size_t in = element % group;
  return element - in + in / 4 % 4 * (group / 4) + in / 16 * 4 + in % 4;
}

void pack_depthwise(const Packing& packing, const Op& op, double inverse, PackedOp& to) {
  const Network& net = packing.net;
  const Kernels& kernels = packing.kernels;
  const std::vector<int>& map = packing.plane(op.inputs[0]).order;
  const auto group = static_cast<size_t>(kernels.group(static_cast<int>(map.size())));
  const size_t lanes = net.int8 ? group / 4 : static_cast<size_t>(kernels.lanes), filters = op.weight.size() / 9;
  std::vector<int8_t> level(op.weight.size());
  std::vector<double> step(filters, 1);
  if (net.int8)
    for (size_t k = 0; k < filters; k++) {
      levels(net, kernels, op, &op.weight[9 * k], 9, k, {}, step[k], &level[9 * k]);
      step[k] *= op.read_step;
    }
  to.weights = Block(map.size() * (net.int8 ? 12 : 36));
  for (size_t e = 0; e < map.size(); e++) {
    if (map[e] < 0) continue;
    const auto k = static_cast<size_t>(map[e]);
    const size_t slot = net.int8 ? mixed(e, group) : e, in = slot % group;
    for (size_t tap = 0; tap < 9; tap++)
      if (net.int8)
        to.weights.data()[12 * (slot - in) + (tap % 3 * 4 + in / lanes) * group + 4 * (in % lanes) + tap / 3] =
            static_cast<uint8_t>(level[9 * k + tap]);
      else to.weights.floats()[9 * (slot - slot % lanes) + tap * lanes + slot % lanes] = op.weight[9 * k + tap];
  }
  std::vector<float> scale(static_cast<size_t>(op.channels)), bias = op.bias;
  for (size_t c = 0; c < scale.size(); c++) {
    const int from = op.from.empty() ? static_cast<int>(c) : op.from[c];
    double offset = op.bias[c];
    if (from >= 0) {
      const auto k = static_cast<size_t>(from);
      offset -= std::accumulate(&level[9 * k], &level[9 * k] + 9, 0) * step[k] * (128 - kernels.depthwise_centre);
      scale[c] = static_cast<float>(step[k] * inverse);
    }
    bias[c] = static_cast<float>(offset * inverse);
  }
  to.scale = per_slot(scale, to.order);
  to.bias = per_slot(bias, to.order);
  if (!op.from.empty()) place(packing, op, map, to);
}

}  // namespace cgnet::native
