#include "plan.hpp"

#include <algorithm>
#include <map>

namespace cgnet::native {
namespace {

constexpr int kItemsOfThread = 8, kLabelRows = 24;

size_t aligned(size_t bytes) { return (bytes + kPastEnd + kAlign - 1) / kAlign * kAlign; }

class Planner {
 public:
  Planner(const Network& network, const std::vector<PackedOp>& packed, const Kernels& kernels, int threads)
      : net_(network), packed_(packed), kernels_(kernels), threads_(threads) {}

  Plan make(int height, int width) {
    plan_.height = plan_.heights[0] = height;
    plan_.width = plan_.widths[0] = width;
    for (int i = 1; i < 4; i++) plan_.heights[i] = (plan_.heights[i - 1] + 1) / 2, plan_.widths[i] = (plan_.widths[i - 1] + 1) / 2;
    made_in_.assign(net_.ops.size(), -1);
    order();
    place();
    return std::move(plan_);
  }

 private:
  int height_of(const Op& op) const { return plan_.heights[op.level]; }

  void order() {
    for (size_t i = 0; i < net_.ops.size();) {
      const int gate = net_.ops[i].gate;
      if (gate < 0) {
        add({Task::kRun, static_cast<int>(i)}, net_.ops[i]);
        i++;
        continue;
      }
      size_t end = i;
      while (end < net_.ops.size() && net_.ops[end].gate == gate) end++;
      for (size_t k = i; k < end; k++) add({Task::kMeasure, static_cast<int>(k)}, net_.ops[k]);
      plan_.passes.push_back({{{Task::kGate, gate}}, 1, 1});
      plan_.passes.push_back({{}, height_of(net_.ops[i]), 1});
      for (size_t k = i; k < end; k++) add({Task::kRun, static_cast<int>(k)}, net_.ops[k]);
      i = end;
    }
    plan_.passes.push_back({{{Task::kLabels, 0}}, plan_.height, kLabelRows});
    for (Pass& pass : plan_.passes)
      pass.rows_of_item = std::min(pass.rows_of_item, std::max(1, pass.rows / (kItemsOfThread * threads_)));
  }

  void add(Task task, const Op& op) {
    const int now = static_cast<int>(plan_.passes.size()) - 1;
    bool joins = now >= 0 && plan_.passes.back().rows == height_of(op) && level_ == op.level;
    for (const Source& source : op.inputs)
      joins = joins && (made_in_[static_cast<size_t>(source.op)] != now || op.kernel == 1);
    if (!joins && !(now >= 0 && plan_.passes.back().tasks.empty())) plan_.passes.push_back({{}, height_of(op), height_of(op)});
    level_ = op.level;
    Pass& pass = plan_.passes.back();
    pass.rows_of_item = height_of(op);
    pass.tasks.push_back(task);
    if (task.kind == Task::kRun) made_in_[static_cast<size_t>(task.index)] = static_cast<int>(plan_.passes.size()) - 1;
  }

  // What reads an operator's out: the last pass, whether any reads other rows, and how far around a pixel.
  struct Readers {
    int last = -1, reach = 0;
    bool elsewhere = false;
  };

  std::map<std::pair<int, int>, Readers> readers() const {
    std::map<std::pair<int, int>, Readers> all;
    for (size_t p = 0; p < plan_.passes.size(); p++)
      for (const Task& task : plan_.passes[p].tasks) {
        if (task.kind == Task::kGate || task.kind == Task::kLabels) continue;
        const Op& op = net_.ops[static_cast<size_t>(task.index)];
        for (const Source& source : op.inputs) {
          Readers& it = all[{source.op, source.out}];
          it.last = static_cast<int>(p);
          it.reach = std::max(it.reach, op.kernel == 1 ? 0 : op.dilation);
          it.elsewhere = it.elsewhere || made_in_[static_cast<size_t>(source.op)] != static_cast<int>(p);
        }
      }
    Readers& scores = all[{net_.scores.op, net_.scores.out}];
    scores.last = static_cast<int>(plan_.passes.size()) - 1, scores.elsewhere = true;
    return all;
  }

  // How many numbers a gated operator adds up.
  size_t summed(const Op& op, const PackedOp& packed) const {
    if (!averages_inputs(op)) return static_cast<size_t>(packed.slots);
    size_t count = 0;
    for (const Source& source : op.inputs) count += channels_of(source);
    return count;
  }

  // Of a stored result, filled up.
  size_t channels_of(Source source) const {
    return packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)].order.size();
  }

  size_t shared(size_t bytes) {
    const size_t at = plan_.shared_bytes;
    plan_.shared_bytes += aligned(bytes);
    return at;
  }
  size_t own(size_t bytes) {
    const size_t at = plan_.own_bytes;
    plan_.own_bytes += aligned(bytes);
    return at;
  }

  // Memory that maps take in turns. mixed: maps of several shapes, so that each must draw its border.
  struct Slot {
    size_t offset, bytes;
    Plane first;
    int last;
    bool mixed;
  };
  struct Placed {
    size_t op, out, slot;
  };

  static bool alike(const Plane& a, const Plane& b) {
    return a.rows == b.rows && a.row == b.row && a.pixel == b.pixel && a.pad == b.pad && a.zero == b.zero;
  }

  // A slot that is free in `pass`: one of the same shape, else the smallest that is large enough, else a new one.
  size_t take(const Plane& plane, int pass, int last) {
    const size_t bytes = aligned(static_cast<size_t>(plane.row) * static_cast<size_t>(plane.rows + 2 * plane.pad));
    size_t best = slots_.size();
    for (size_t i = 0; i < slots_.size(); i++) {
      const Slot& slot = slots_[i];
      if (slot.last >= pass || slot.bytes < bytes) continue;
      const auto rank = [&](const Slot& it) { return std::make_pair(it.mixed || !alike(it.first, plane), it.bytes); };
      if (best == slots_.size() || rank(slot) < rank(slots_[best])) best = i;
    }
    if (best == slots_.size()) slots_.push_back({shared(bytes), bytes, plane, last, false});
    Slot& slot = slots_[best];
    slot.last = last;
    slot.mixed = slot.mixed || !alike(slot.first, plane);
    return best;
  }

  void place() {
    const auto reads = readers();
    plan_.planes.resize(net_.ops.size());
    std::vector<Placed> placed;
    for (size_t p = 0; p < plan_.passes.size(); p++)
      for (const Task& task : plan_.passes[p].tasks) {
        if (task.kind != Task::kRun) continue;
        const auto i = static_cast<size_t>(task.index);
        const Op& op = net_.ops[i];
        for (size_t o = 0; o < op.outs.size(); o++) {
          const auto found = reads.find({task.index, static_cast<int>(o)});
          const Readers reader = found == reads.end() ? Readers() : found->second;
          const PackedOut& out = packed_[i].outs[o];
          Plane plane;
          plane.pixel = static_cast<ptrdiff_t>(out.order.size()) * bytes_of(out.as);
          plane.pad = reader.reach;
          plane.rows = height_of(op);
          plane.columns = plan_.widths[op.level];
          plane.zero = out.as == Element::kU8 ? 128 : 0;
          const ptrdiff_t row = plane.pixel * (plane.columns + 2 * plane.pad);
          if (!reader.elsewhere && plane.pad == 0) {
            plane.own = true;
            plane.offset = own(static_cast<size_t>(row));
          } else {
            plane.row = row;
            const size_t slot = take(plane, static_cast<int>(p), reader.last);
            plane.offset = slots_[slot].offset + static_cast<size_t>(plane.pad * (row + plane.pixel));
            placed.push_back({i, o, slot});
          }
          plan_.planes[i].push_back(plane);
        }
      }
    for (const Placed& it : placed) {
      Plane& plane = plan_.planes[it.op][it.out];
      plane.shares = slots_[it.slot].mixed && plane.pad > 0;
      if (!plane.shares && plane.pad > 0 && plane.zero) plan_.bordered.push_back(plane);
    }
    for (size_t t = 0; t < net_.trunks.size(); t++) {
      int level = 0;
      for (const Op& op : net_.ops)
        if (op.trunk == static_cast<int>(t)) level = op.level;
      Plane trunk;
      trunk.pixel = (net_.trunks[t] + 15) / 16 * 16 * trunk_bytes(net_, kernels_);
      trunk.row = trunk.pixel * plan_.widths[level];
      trunk.offset = shared(static_cast<size_t>(trunk.row) * static_cast<size_t>(plan_.heights[level]));
      plan_.trunks.push_back(trunk);
    }
    plan_.sums.resize(net_.ops.size()), plan_.sums_of_row.resize(net_.ops.size()), plan_.gated.resize(net_.ops.size());
    for (size_t i = 0; i < net_.ops.size(); i++) {
      if (net_.ops[i].gate < 0) continue;
      const auto bytes = 4 * static_cast<size_t>(packed_[i].slots);
      plan_.sums_of_row[i] = summed(net_.ops[i], packed_[i]);
      plan_.sums[i] = shared(4 * plan_.sums_of_row[i] * static_cast<size_t>(height_of(net_.ops[i])));
      plan_.gated[i] = shared(2 * bytes);
    }
    size_t filtered = 0;
    for (size_t i = 0; i < net_.ops.size(); i++)
      if (const Op& op = net_.ops[i]; !packed_[i].lane.empty()) {
        const Plane& map = plan_.planes[static_cast<size_t>(op.inputs[0].op)][static_cast<size_t>(op.inputs[0].out)];
        filtered = std::max(filtered, 4 * static_cast<size_t>(map.columns) * channels_of(op.inputs[0]));
      }
    plan_.filtered = own(filtered);
    const auto width = static_cast<size_t>(plan_.width);
    plan_.image_row = aligned((3 * (width + 3)) * (net_.int8 ? 1 : 4));
    plan_.image = own(3 * plan_.image_row);
    plan_.column_sums = own(4 * 4 * (width + 4));
    plan_.pooled = own(4 * 4 * (width + 16));
    plan_.enlarged_stride = (width + 15) / 16 * 16;
    for (size_t& at : plan_.enlarged) at = own(4 * plan_.enlarged_stride * static_cast<size_t>(net_.classes));
  }

  const Network& net_;
  const std::vector<PackedOp>& packed_;
  const Kernels& kernels_;
  const int threads_;
  Plan plan_;
  std::vector<Slot> slots_;
  int level_ = -1;
  std::vector<int> made_in_;  // the pass that an operator's result is made in
};

}  // namespace

Plan make_plan(const Network& network, const std::vector<PackedOp>& packed, const Kernels& kernels, int height, int width,
               int threads) {
  return Planner(network, packed, kernels, threads).make(height, width);
}

}  // namespace cgnet::native
