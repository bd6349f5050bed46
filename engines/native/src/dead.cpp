// Leaves out of a network what weighs nothing, exactly: the results stay the same to the bit.
//
// Training with weight decay leaves filters without any weight, most of the depthwise ones of the official weights, and in
// int8 small weights are none. The channels of a residual sum have their places, so what is left of them lies scattered, and
// a dense convolution would compute and read it together with what is dead. To move channels of a row together, or back to
// their places, costs a few instructions a pixel.
#include <algorithm>
#include <utility>

#include "network.hpp"

namespace cgnet::native {
namespace {

constexpr int kTogether = 4;     // channels that kernels read at once
constexpr int64_t kOfAMove = 8;  // multiply-adds that a channel must spare to be worth moving, generously

int64_t together(size_t channels) { return static_cast<int64_t>((channels + kTogether - 1) / kTogether * kTogether); }

bool has_weight(const float* from, size_t count) {
  return std::any_of(from, from + count, [](float weight) { return weight != 0; });
}

// `each` numbers of every channel in `live`; nothing of an empty list.
void keep(std::vector<float>& list, const std::vector<int>& live, size_t each = 1) {
  if (list.empty()) return;
  std::vector<float> kept;
  for (const int channel : live) {
    const auto begin = list.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(channel) * each);
    kept.insert(kept.end(), begin, begin + static_cast<ptrdiff_t>(each));
  }
  list = std::move(kept);
}

// An operator that gives channel from[i] of a stored result as its channel i.
Op move(const std::vector<Op>& ops, Source source, std::vector<int> from, const std::string& name) {
  const Op& input = ops[static_cast<size_t>(source.op)];
  Op op;
  op.kind = Op::kMove;
  op.name = name;
  op.channels = static_cast<int>(from.size());
  op.level = input.level;
  op.inputs = {source};
  op.input_channels = {input.channels};
  op.from = std::move(from);
  op.outs.push_back({{}, {}, {}, input.outs[static_cast<size_t>(source.out)].step});
  return op;
}

// What reads an operator's result.
std::vector<Op*> readers(Network& net, size_t index) {
  std::vector<Op*> found;
  for (size_t i = index + 1; i < net.ops.size(); i++)
    for (const Source& source : net.ops[i].inputs)
      if (source.op == static_cast<int>(index)) found.push_back(&net.ops[i]);
  return found;
}

// Takes from a dense convolution the filters that no depthwise one after it weighs, and from those theirs, whose results then
// have places of their own.
void drop_filters(Network& net, size_t index) {
  Op& op = net.ops[index];
  const std::vector<Op*> after = readers(net, index);
  const bool free = op.kind == Op::kDense && op.outs.size() == 1 && op.trunk < 0 && op.gate < 0 &&
                    std::all_of(after.begin(), after.end(), [](const Op* it) { return it->kind == Op::kDepthwise; });
  if (!free || net.scores.op == static_cast<int>(index)) return;
  std::vector<int> live, from(static_cast<size_t>(op.channels), -1);
  for (size_t c = 0; c < from.size(); c++)
    if (std::any_of(after.begin(), after.end(), [&](const Op* it) { return has_weight(&it->weight[9 * c], 9); })) {
      from[c] = static_cast<int>(live.size());
      live.push_back(static_cast<int>(c));
    }
  const size_t each = op.weight.size() / from.size();
  if (live.empty() || (op.channels - together(live.size())) * static_cast<int64_t>(each) <= kOfAMove * op.channels) return;
  keep(op.weight, live, each);
  for (std::vector<float>* list : {&op.bias, &op.weight_step, &op.slope, &op.outs[0].scale, &op.outs[0].shift, &op.outs[0].slope})
    keep(*list, live);
  op.channels = static_cast<int>(live.size());
  for (Op* reader : after) {
    keep(reader->weight, live, 9), keep(reader->weight_step, live);
    reader->from = from;
    reader->input_channels = {op.channels};
  }
}

// Lets a dense convolution read only what it weighs.
void pick_inputs(Op& op, std::vector<Op>& ops) {
  const auto taps = static_cast<size_t>(op.kernel * op.kernel), filters = static_cast<size_t>(op.channels);
  const size_t width = op.weight.size() / filters / taps;
  std::vector<int> read;  // of all inputs together
  size_t first = 0;
  for (size_t i = 0; i < op.inputs.size(); i++) {
    const auto count = static_cast<size_t>(op.input_channels[i]);
    std::vector<int> live;
    for (size_t c = 0; c < count; c++)
      for (size_t f = 0; f < filters; f++)
        if (has_weight(&op.weight[(f * width + first + c) * taps], taps)) {
          live.push_back(static_cast<int>(c));
          break;
        }
    const auto each = op.channels * static_cast<int64_t>(taps) / (op.stride * op.stride);
    const int64_t spared = (together(count) - together(live.size())) * each;
    if (live.empty() || spared <= kOfAMove * static_cast<int64_t>(live.size())) {
      live.resize(count);
      for (size_t c = 0; c < count; c++) live[c] = static_cast<int>(c);
    } else {
      ops.push_back(move(ops, op.inputs[i], live, op.name));
      op.inputs[i] = {static_cast<int>(ops.size()) - 1, 0};
      op.input_channels[i] = static_cast<int>(live.size());
    }
    for (const int channel : live) read.push_back(static_cast<int>(first) + channel);
    first += count;
  }
  std::vector<int> kept;
  for (size_t f = 0; f < filters; f++)
    for (const int channel : read) kept.push_back(static_cast<int>(f * width) + channel);
  if (read.size() < width) keep(op.weight, kept, taps);
}

}  // namespace

void leave_out_dead(Network& net) {
  std::vector<Op> ops;
  std::vector<int> place;  // of each operator
  for (size_t i = 0; i < net.ops.size(); i++) {
    drop_filters(net, i);
    Op op = std::move(net.ops[i]);
    for (Source& source : op.inputs) source.op = place[static_cast<size_t>(source.op)];
    if (op.kind == Op::kDense) pick_inputs(op, ops);
    place.push_back(static_cast<int>(ops.size()));
    ops.push_back(std::move(op));
  }
  net.ops = std::move(ops);
  net.scores.op = place[static_cast<size_t>(net.scores.op)];
}

}  // namespace cgnet::native
