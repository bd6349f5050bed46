#include "pack.hpp"

#include <algorithm>
#include <cstdint>
#include <map>

#include "packing.hpp"

namespace cgnet::native {
namespace {

constexpr int kLeastFill = 8;

int filled(int count, int multiple) { return (count + multiple - 1) / multiple * multiple; }

std::vector<int> natural(int channels, int slots) {
  std::vector<int> order(static_cast<size_t>(slots), -1);
  for (int i = 0; i < channels; i++) order[static_cast<size_t>(i)] = i;
  return order;
}

// A pool's: arrays of 16, four to a pixel.
std::vector<int> repeated(const int order[3]) {
  std::vector<int> slots(16, -1);
  for (int i = 0; i < 3; i++)
    for (size_t x = 0; x < 4; x++) slots[4 * x + static_cast<size_t>(order[i])] = i;
  return slots;
}

class Packer : Packing {
 public:
  Packer(const Network& network, const Kernels& its_kernels)
      : Packing{network, its_kernels, std::vector<PackedOp>(network.ops.size())} {}

  std::vector<PackedOp> pack() {
    std::vector<const Op*> filters(net.ops.size());
    for (const Op& op : net.ops)
      if (op.kind == Op::kDepthwise && net.int8) filters[static_cast<size_t>(op.inputs[0].op)] = &op;
    choose_elements();
    for (size_t i = 0; i < net.ops.size(); i++) pack_op(net.ops[i], packed[i], filters[i]);
    return std::move(packed);
  }

 private:
  // How results are stored: in int8 the file says it, else it is what they are read as.
  void choose_elements() {
    const auto stored = [&](Source source) -> Element& {
      return packed[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)].as;
    };
    for (size_t i = 0; i < net.ops.size(); i++)
      for (const Out& out : net.ops[i].outs) {
        packed[i].outs.emplace_back();
        if (out.step > 0) packed[i].outs.back().as = Element::kU8;
      }
    if (net.int8) return;
    for (const Op& op : net.ops)
      if (op.kind == Op::kDense)
        for (const Source& source : op.inputs) stored(source) = reads(op, net, kernels);
    for (size_t i = 0; i < net.ops.size(); i++)
      if (net.ops[i].kind == Op::kMove) stored(net.ops[i].inputs[0]) = packed[i].outs[0].as;
    const auto needs_f32 = [&](Source source) {
      if (stored(source) != Element::kF32)
        throw Error("what " + net.ops[static_cast<size_t>(source.op)].name.substr(0, 80) + " gives is read in bf16 and in f32");
    };
    for (const Op& op : net.ops)
      if (op.kind != Op::kDense && op.kind != Op::kMove) std::for_each(op.inputs.begin(), op.inputs.end(), needs_f32);
    needs_f32(net.scores);
  }

  // filter: an int8 depthwise one that reads it, or null.
  void pack_op(const Op& op, PackedOp& to, const Op* filter) {
    const int group = kernels.group(filled(op.channels, 32));
    const bool places = !op.from.empty() && op.kind == Op::kDepthwise;
    to.slots = filled(op.channels, filter || (places && net.int8) ? group : std::max(kLeastFill, kernels.lanes));
    if (op.kind == Op::kDepthwise && !places) to.slots = static_cast<int>(plane(op.inputs[0]).order.size());
    to.order = natural(op.channels, to.slots);
    if (op.kind == Op::kPool) {
      to.order = repeated(net.order);
    } else {
      const auto slots = static_cast<size_t>(to.slots), width = static_cast<size_t>(group);
      if (op.kind == Op::kDepthwise && net.int8 && !places) {
        for (size_t e = 0; e < slots; e++) to.order[mixed(e, width)] = plane(op.inputs[0]).order[e];
      } else if (filter && filter->from.empty() && to.slots == op.channels) {
        // The depthwise results are then in their own order. Where channels fill up, they had better be together.
        for (size_t e = 0; e < slots; e++) to.order[e] = static_cast<int>(mixed(e, width));
      }
      if (op.trunk >= 0 && (to.order != natural(op.channels, to.slots) || to.slots != op.channels))
        throw Error("the residual sum at " + op.name.substr(0, 80) + " is not in whole vectors of channels");
      if (op.kind == Op::kMove) return pack_move(op, to);
      const bool alone = op.outs.size() == 1 && op.outs[0].scale.empty() && op.outs[0].slope.empty() && op.trunk < 0 && op.gate < 0;
      const double inverse = alone && op.outs[0].step > 0 ? 1.0 / op.outs[0].step : 1;  // a PReLU lets it pass
      op.kind == Op::kDepthwise ? pack_depthwise(*this, op, inverse, to) : pack_dense(*this, op, inverse, to);
      if (!op.slope.empty()) to.slope = per_slot(op.slope, to.order);
      for (size_t o = 0; o < op.outs.size(); o++) pack_out(op, op.outs[o], to, inverse != 1, to.outs[o]);
      return;
    }
    for (size_t o = 0; o < op.outs.size(); o++) {
      pack_out(op, op.outs[o], to, false, to.outs[o]);
      to.outs[o].order.assign(to.order.begin(), to.order.begin() + 4);
    }
  }

  void pack_out(const Op& op, const Out& out, const PackedOp& from, bool scaled, PackedOut& to) const {
    const bool u8 = to.as == Element::kU8;
    const double inverse = u8 ? 1.0 / out.step : 1;
    if (!out.scale.empty() || !out.slope.empty()) {
      const std::vector<float> ones(static_cast<size_t>(op.channels), 1), none(ones.size(), 0);
      to.scale = per_slot(out.scale.empty() ? ones : out.scale, from.order, inverse);
      to.shift = per_slot(out.shift.empty() ? none : out.shift, from.order, inverse);
      if (!out.slope.empty()) to.slope = per_slot(out.slope, from.order);
    } else if (!scaled) {
      to.inverse = static_cast<float>(inverse);
    }
    to.order = from.order;
    if (op.kind == Op::kDepthwise && u8) {  // as the kernel stores them
      const auto group = static_cast<size_t>(kernels.group(from.slots));
      for (size_t e = 0; e < to.order.size(); e++) to.order[e] = from.order[mixed(e, group)];
    }
  }

  // Where each 16 bytes of a pixel come from, of every 16 bytes that hold some of them.
  void pack_move(const Op& op, PackedOp& to) const {
    const std::vector<int>& source = plane(op.inputs[0]).order;
    const auto size = static_cast<size_t>(bytes_of(to.outs[0].as)), bytes = size * to.order.size();
    for (size_t at = 0; at < bytes; at += 16) {
      std::map<ptrdiff_t, Part> parts;
      for (size_t i = at; i < std::min(at + 16, bytes); i++) {
        const int channel = to.order[i / size], from = channel < 0 ? -1 : op.from[static_cast<size_t>(channel)];
        if (from < 0) continue;
        const ptrdiff_t found = (std::find(source.begin(), source.end(), from) - source.begin()) * static_cast<ptrdiff_t>(size) +
                                static_cast<ptrdiff_t>(i % size);
        const auto [part, isnew] = parts.try_emplace(found / 16);
        if (isnew) part->second.from = static_cast<int32_t>(found / 16 * 16), std::fill_n(part->second.index, 16, uint8_t{0x80});
        part->second.index[i - at] = static_cast<uint8_t>(found % 16);
      }
      to.chunks.push_back({static_cast<int32_t>(at), static_cast<int32_t>(parts.size()), at + 16 > bytes});
      for (const auto& [number, part] : parts) to.parts.push_back(part);
    }
    to.outs[0].order = to.order;
  }
};

}  // namespace

Block per_slot(const std::vector<float>& numbers, const std::vector<int>& order, double factor) {
  Block block(4 * order.size());
  for (size_t i = 0; i < order.size(); i++)
    block.floats()[i] = order[i] < 0 ? 0 : static_cast<float>(numbers[static_cast<size_t>(order[i])] * factor);
  return block;
}

std::vector<PackedOp> pack(const Network& network, const Kernels& kernels) { return Packer(network, kernels).pack(); }

}  // namespace cgnet::native
