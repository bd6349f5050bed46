// Gates: the mean of a map, two linear maps, and one factor for each channel.
#include "reader.hpp"

#include <utility>

namespace cgnet::native {

Value Reader::mean(const Node& node) {
  const Value& x = in(node, 0);
  want(x.kind == Value::kMap && x.step == 0 && !x.branches.empty(), "it averages what is no map");
  if (node.op == "ReduceMean") {
    auto axes = node.ints.count("axes") ? node.ints.at("axes") : std::vector<int64_t>{};
    if (node.inputs.size() > 1 && constant(node, 1)) axes = constant(node, 1)->constant->as<int64_t>(Tensor::kInt64, node.name);
    for (int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
    want(axes == std::vector<int64_t>{2, 3}, "it does not average over the map");
  }
  Value value;
  value.kind = Value::kMean;
  value.of = node.inputs[0];
  value.gate = static_cast<int>(net_.gates.size());
  Gate gate;
  gate.channels = channels(x);
  net_.gates.push_back(gate);
  return value;
}

Value Reader::linear(const Node& node) {
  const Value &x = in(node, 0), *weight = constant(node, 1);
  want((x.kind == Value::kMean || x.kind == Value::kRelu) && weight && node.inputs.size() == 3, "it is no part of a gate");
  const auto real = [&](const char* key) { return node.floats.count(key) ? node.floats.at(key) : 1.0f; };
  want(node.op == "Conv" || (node.integer("transB", 0) == 1 && node.integer("transA", 0) == 0 && real("alpha") == 1 &&
                             real("beta") == 1), "it is no plain linear map");
  Value value = x;
  Gate& gate = net_.gates[static_cast<size_t>(x.gate)];
  Floats w = numbers(node, 1), b = numbers(node, 2);
  const auto count = static_cast<size_t>(gate.channels);
  if (x.kind == Value::kMean) {
    want(w.size() == b.size() * count && b.size() <= 256, "its sizes are not those of a gate");
    gate.hidden = static_cast<int>(b.size()), gate.squeeze = std::move(w), gate.squeeze_bias = std::move(b);
    value.kind = Value::kHidden;
  } else {
    want(b.size() == count && w.size() == b.size() * static_cast<size_t>(gate.hidden), "its sizes are not those of a gate");
    gate.excite = std::move(w), gate.excite_bias = std::move(b);
    value.kind = Value::kExcited;
  }
  return value;
}

Value Reader::through_gate(const Node& node) {
  Value value = in(node, 0);
  const auto turn = [&](Value::Kind from, Value::Kind to) { want(value.kind == from, "it is no part of a gate"), value.kind = to; };
  if (node.op == "Relu") turn(Value::kHidden, Value::kRelu);
  else if (node.op == "Sigmoid") turn(Value::kExcited, Value::kGate);
  else want(value.kind == Value::kGate || value.kind == Value::kMean, "it is no part of a gate");
  return value;
}

Value Reader::gated(const Node& node) {
  const bool first = in(node, 0).kind == Value::kGate;
  const Value &gate = in(node, first ? 0 : 1), &x = in(node, first ? 1 : 0);
  want(gate.kind == Value::kGate && gate.of == node.inputs[first ? 1 : 0], "it multiplies two maps");
  int at = 0;
  Value value = x;
  for (Branch& branch : value.branches) {
    Op& scaled = op(branch.op);
    settle(branch);
    want(branch.steps.empty() && scaled.outs.empty() && scaled.gate < 0 && scaled.trunk < 0 && scaled.kind != Op::kPool,
         "it gates what is read without its gate");
    scaled.gate = gate.gate;
    scaled.gate_channel = at;
    branch.stage = ++stages_[branch.op];
    at += scaled.channels;
  }
  return value;
}

}  // namespace cgnet::native
