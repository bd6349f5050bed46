#include "pack.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <numeric>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "levels.hpp"
#include "steps.hpp"

namespace cgnet::native {
namespace {

constexpr int kLeastFill = 8;
constexpr size_t kHugePage = size_t{1} << 21;

int filled(int count, int multiple) { return (count + multiple - 1) / multiple * multiple; }

std::vector<int> natural(int channels, int slots) {
  std::vector<int> order(static_cast<size_t>(slots), -1);
  for (int i = 0; i < channels; i++) order[static_cast<size_t>(i)] = i;
  return order;
}

// An int8 depthwise kernel mixes the elements of a group of G: number 16 l + 4 j + i becomes number j G/4 + 4 l + i.
size_t mixed(size_t element, size_t group) {
  const size_t in = element % group;
  return element - in + in / 4 % 4 * (group / 4) + in / 16 * 4 + in % 4;
}

// The nearest bf16; the even one of two.
uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One number for each slot; those that fill up get `otherwise`.
Block per_slot(const std::vector<float>& numbers, const std::vector<int>& order, double factor = 1) {
  Block block(4 * order.size());
  for (size_t i = 0; i < order.size(); i++)
    block.floats()[i] = order[i] < 0 ? 0 : static_cast<float>(numbers[static_cast<size_t>(order[i])] * factor);
  return block;
}

// A pool's: arrays of 16, four to a pixel.
std::vector<int> repeated(const int order[3]) {
  std::vector<int> slots(16, -1);
  for (int i = 0; i < 3; i++)
    for (size_t x = 0; x < 4; x++) slots[4 * x + static_cast<size_t>(order[i])] = i;
  return slots;
}

class Packer {
 public:
  Packer(const Network& network, const Kernels& kernels) : net_(network), kernels_(kernels), packed_(network.ops.size()) {}

  std::vector<PackedOp> pack() {
    std::vector<const Op*> filters(net_.ops.size());
    for (const Op& op : net_.ops)
      if (op.kind == Op::kDepthwise && net_.int8) filters[static_cast<size_t>(op.inputs[0].op)] = &op;
    choose_elements();
    for (size_t i = 0; i < net_.ops.size(); i++) pack_op(net_.ops[i], packed_[i], filters[i]);
    return std::move(packed_);
  }

 private:
  const PackedOut& plane(Source source) const {
    return packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)];
  }

  // How results are stored: in int8 the file says it, else it is what they are read as.
  void choose_elements() {
    const auto stored = [&](Source source) -> Element& {
      return packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)].as;
    };
    for (size_t i = 0; i < net_.ops.size(); i++)
      for (const Out& out : net_.ops[i].outs) {
        packed_[i].outs.emplace_back();
        if (out.step > 0) packed_[i].outs.back().as = Element::kU8;
      }
    if (net_.int8) return;
    for (const Op& op : net_.ops)
      if (op.kind == Op::kDense)
        for (const Source& source : op.inputs) stored(source) = reads(op, net_, kernels_);
    for (size_t i = 0; i < net_.ops.size(); i++)
      if (net_.ops[i].kind == Op::kMove) stored(net_.ops[i].inputs[0]) = packed_[i].outs[0].as;
    const auto needs_f32 = [&](Source source) {
      if (stored(source) != Element::kF32)
        throw Error("what " + net_.ops[static_cast<size_t>(source.op)].name.substr(0, 80) + " gives is read in bf16 and in f32");
    };
    for (const Op& op : net_.ops)
      if (op.kind != Op::kDense && op.kind != Op::kMove) std::for_each(op.inputs.begin(), op.inputs.end(), needs_f32);
    needs_f32(net_.scores);
  }

  // filter: an int8 depthwise one that reads it, or null.
  void pack_op(const Op& op, PackedOp& to, const Op* filter) {
    const int group = kernels_.group(filled(op.channels, 32));
    const bool places = !op.from.empty() && op.kind == Op::kDepthwise;
    to.slots = filled(op.channels, filter || (places && net_.int8) ? group : std::max(kLeastFill, kernels_.lanes));
    if (op.kind == Op::kDepthwise && !places) to.slots = static_cast<int>(plane(op.inputs[0]).order.size());
    to.order = natural(op.channels, to.slots);
    if (op.kind == Op::kPool) {
      to.order = repeated(net_.order);
    } else {
      const auto slots = static_cast<size_t>(to.slots), width = static_cast<size_t>(group);
      if (op.kind == Op::kDepthwise && net_.int8 && !places) {
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
      op.kind == Op::kDepthwise ? pack_depthwise(op, to, inverse) : pack_dense(op, to, inverse);
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
      const auto group = static_cast<size_t>(kernels_.group(from.slots));
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

  void pack_dense(const Op& op, PackedOp& to, double inverse) const {
    const bool image = op.kind == Op::kImage;
    const Element element = reads(op, net_, kernels_);
    const auto inputs = static_cast<size_t>(image ? 3 : 0);
    size_t width = inputs;
    for (const int count : op.input_channels) width += static_cast<size_t>(count);
    const auto kernel = static_cast<size_t>(op.kernel), taps = kernel * kernel;
    // Which weight each step's element has: input channel * taps + tap, -1 for none.
    std::vector<int> elements;
    std::vector<RunOf> runs;
    const auto run = [&](const std::vector<int>& order, int first, size_t dy, int source) {
      const size_t begin = elements.size();
      for (size_t dx = 0; dx < kernel; dx++)
        for (const int channel : order)
          elements.push_back(channel < 0 ? -1 : static_cast<int>((static_cast<size_t>(first + channel)) * taps + dy * kernel + dx));
      while (net_.int8 && elements.size() % 4) elements.push_back(-1);
      runs.push_back({static_cast<int>(elements.size() - begin) / 4, source});
    };
    std::vector<int> colours(3);
    for (int i = 0; i < 3; i++) colours[static_cast<size_t>(net_.order[i])] = i;
    int first = 0;
    if (image)
      for (size_t dy = 0; dy < kernel; dy++) run(colours, 0, dy, -1);
    for (size_t i = 0; i < op.inputs.size(); i++) {
      for (size_t dy = 0; dy < kernel; dy++) run(plane(op.inputs[i]).order, first, dy, static_cast<int>(i));
      first += op.input_channels[i];
    }
    const size_t each = width * taps, lanes = static_cast<size_t>(kernels_.lanes);
    auto slots = static_cast<size_t>(to.slots);
    std::vector<float> scaled;
    if (image && net_.int8)
      for (size_t i = 0; i < op.weight.size(); i++) scaled.push_back(op.weight[i] * net_.scale[i / taps % 3]);
    const float* const weight = scaled.empty() ? op.weight.data() : scaled.data();
    std::vector<int8_t> level(net_.int8 ? op.weight.size() : 0);
    std::vector<float> scale(static_cast<size_t>(op.channels)), bias = op.bias;
    for (size_t q = 0; q < scale.size(); q++) {
      double step = 1, offset = op.bias[q];
      if (net_.int8) {
        int8_t* const levels_of = level.data() + q * each;
        levels(net_, kernels_, op, weight + q * each, each, q, elements, step, levels_of);
        if (!image) step *= op.read_step;
        for (size_t i = 0; i < width; i++) {
          const double zero = image ? static_cast<double>(net_.mean[i]) : 128;
          offset -= std::accumulate(levels_of + i * taps, levels_of + (i + 1) * taps, 0) * step * (zero - kernels_.dense_centre);
        }
      }
      scale[q] = static_cast<float>(step * inverse);
      bias[q] = static_cast<float>(offset * inverse);
    }
    // What nobody computes keeps what another map left there, and in bf16 that may be no number, also times nothing.
    if (!kernels_.dense_bf16)
      while (slots > 0 && to.order[slots - 1] < 0) slots--;
    slots = (slots + lanes - 1) / lanes * lanes;
    to.vectors = static_cast<int>(slots / lanes);
    to.weights = Block(elements.size() * slots * static_cast<size_t>(bytes_of(element)));
    if (element == Element::kU8) {
      interleave<4>(elements, to, lanes, each, level.data(), reinterpret_cast<int8_t*>(to.weights.data()));
    } else if (element == Element::kBf16) {
      std::vector<uint16_t> rounded(op.weight.size());
      std::transform(op.weight.begin(), op.weight.end(), rounded.begin(), to_bf16);
      interleave<2>(elements, to, lanes, each, rounded.data(), reinterpret_cast<uint16_t*>(to.weights.data()));
    } else {
      interleave<1>(elements, to, lanes, each, weight, to.weights.floats());
    }
    if (net_.int8 && kernels_.most_weight < 127) order_steps(to, runs, lanes, static_cast<size_t>(kernels_.most_vectors));
    to.scale = per_slot(scale, to.order);
    to.bias = per_slot(bias, to.order);
  }

  // (channels, each) to the kernels' order: for each block of vectors and each step, kElements of every slot.
  template <size_t kElements, class T>
  void interleave(const std::vector<int>& elements, const PackedOp& op, size_t lanes, size_t each, const T* from, T* to) const {
    const auto vectors = static_cast<size_t>(op.vectors);
    auto size = static_cast<size_t>(kernels_.most_vectors);
    for (size_t begin = 0; begin < vectors; begin += size) {
      while (size > vectors - begin) size /= 2;
      for (size_t e = 0; e < elements.size(); e += kElements)
        for (size_t slot = begin * lanes; slot < (begin + size) * lanes; slot++, to += kElements)
          if (const int channel = op.order[slot]; channel >= 0)
            for (size_t i = 0; i < kElements; i++)
              if (elements[e + i] >= 0) to[i] = from[static_cast<size_t>(channel) * each + static_cast<size_t>(elements[e + i])];
    }
  }

  void pack_depthwise(const Op& op, PackedOp& to, double inverse) const {
    const std::vector<int>& map = plane(op.inputs[0]).order;
    const auto group = static_cast<size_t>(kernels_.group(static_cast<int>(map.size())));
    const size_t lanes = net_.int8 ? group / 4 : static_cast<size_t>(kernels_.lanes), filters = op.weight.size() / 9;
    std::vector<int8_t> level(op.weight.size());
    std::vector<double> step(filters, 1);
    if (net_.int8)
      for (size_t k = 0; k < filters; k++) {
        levels(net_, kernels_, op, &op.weight[9 * k], 9, k, {}, step[k], &level[9 * k]);
        step[k] *= op.read_step;
      }
    to.weights = Block(map.size() * (net_.int8 ? 12 : 36));
    for (size_t e = 0; e < map.size(); e++) {
      if (map[e] < 0) continue;
      const auto k = static_cast<size_t>(map[e]);
      const size_t slot = net_.int8 ? mixed(e, group) : e, in = slot % group;
      for (size_t tap = 0; tap < 9; tap++)
        if (net_.int8)
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
        offset -= std::accumulate(&level[9 * k], &level[9 * k] + 9, 0) * step[k] * (128 - kernels_.depthwise_centre);
        scale[c] = static_cast<float>(step[k] * inverse);
      }
      bias[c] = static_cast<float>(offset * inverse);
    }
    to.scale = per_slot(scale, to.order);
    to.bias = per_slot(bias, to.order);
    if (!op.from.empty()) place(op, map, to);
  }

  // Where a depthwise result's channels, in their order, are among those of its map.
  void place(const Op& op, const std::vector<int>& map, PackedOp& to) const {
    const int lanes = net_.int8 ? kernels_.group(to.slots) / 4 : kernels_.lanes;
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

  const Network& net_;
  const Kernels& kernels_;
  std::vector<PackedOp> packed_;
};

}  // namespace

// Large memory from calloc is zero without being touched, so pages that nobody uses cost nothing. In huge pages, where
// the system lends them, its first use takes a tenth of the time.
Block::Block(size_t bytes) : size_(bytes) {
  const size_t align = bytes < kHugePage ? kAlign : kHugePage, all = bytes + kPastEnd;
  memory_.reset(std::calloc(all + align, 1));
  if (!memory_) throw std::bad_alloc();
  const auto at = reinterpret_cast<uintptr_t>(memory_.get());
  data_ = static_cast<uint8_t*>(memory_.get()) + (align - at % align);
#if defined(__linux__)
  if (align == kHugePage) madvise(data_, all / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

std::vector<PackedOp> pack(const Network& network, const Kernels& kernels) { return Packer(network, kernels).pack(); }

}  // namespace cgnet::native
