// Every node in its turn: colours, steps per channel, concats and the head here, what has more to it in read_*.cpp.
#include "reader.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cgnet::native {

Network Reader::read() {
  for (const auto& [name, tensor] : graph_.constants) {
    Value value;
    value.kind = Value::kConstant;
    value.constant = &tensor;
    values_.emplace(name, std::move(value));
  }
  Value frames;
  frames.kind = Value::kFrames;
  values_[graph_.input] = frames;
  for (const Node& node : graph_.nodes) {
    node_ = &node;
    if (!values_.emplace(node.outputs[0], evaluate(node)).second) fail("its output has a name that is taken");
  }
  const auto last = values_.find(graph_.output);
  if (last == values_.end() || last->second.kind != Value::kLabels)
    throw Error(std::string("the graph gives no labels") + kAgain + " and without --tensor-io");
  if (net_.scores.op < 0) throw Error("the graph has no classifier");
  check_types();
  return std::move(net_);
}

void Reader::fail(const std::string& what) const {
  throw Error("not a graph that this engine runs: " + node_->op + " " + node_->name.substr(0, 80) + ": " + what + kAgain);
}

void Reader::want(bool right, const char* what) const {
  if (!right) fail(what);
}

const Value& Reader::in(const Node& node, size_t i) const {
  want(i < node.inputs.size(), "an input is missing");
  const auto found = values_.find(node.inputs[i]);
  want(found != values_.end(), "it reads what no node before it made");
  return found->second;
}

const Value* Reader::constant(const Node& node, size_t i) const {
  const Value& value = in(node, i);
  return value.kind == Value::kConstant ? &value : nullptr;
}

Floats Reader::numbers(const Node& node, size_t i) const {
  const Value* value = constant(node, i);
  want(value && value->constant->size() > 0, "an input is no constant");
  const std::string& name = node.inputs[i];
  Floats list;
  if (const size_t count = value->steps.size()) {
    const auto levels = value->constant->as<int8_t>(Tensor::kInt8, name);
    const size_t each = levels.size() / count;
    list.resize(levels.size());
    for (size_t filter = 0; filter < count; filter++)
      for (size_t k = filter * each; k < (filter + 1) * each; k++) list[k] = static_cast<float>(levels[k]) * value->steps[filter];
  } else {
    list = value->constant->as<float>(Tensor::kFloat, name);
  }
  for (const float number : list) want(std::isfinite(number), "a constant has values that are not finite");
  return list;
}

Floats Reader::per_channel(const Node& node, size_t i, int count) const {
  Floats list = numbers(node, i);
  const auto& dims = constant(node, i)->constant->dims;
  want(list.size() == 1 || (dims.size() >= 3 && dims[dims.size() - 1] == 1 && dims[dims.size() - 2] == 1),
       "a constant is not one number a channel");
  if (list.size() == 1) list.assign(static_cast<size_t>(count), list[0]);
  want(list.size() == static_cast<size_t>(count), "a constant has another number of channels");
  return list;
}

int Reader::channels(const Value& value) const {
  int count = 0;
  for (const Branch& branch : value.branches) count += net_.ops[static_cast<size_t>(branch.op)].channels;
  return count;
}

Value Reader::evaluate(const Node& node) {
  const std::string& kind = node.op;
  // The frame's own size, which an open graph enlarges the scores to: what this engine always does.
  for (size_t i = 0; i < node.inputs.size(); i++)
    if (!node.inputs[i].empty() && in(node, i).kind == Value::kSizes && kind != "Resize") return in(node, i);
  if (in(node, 0).kind == Value::kFrames && kind != "Cast" && kind != "Shape")
    throw Error(std::string("the graph takes a tensor, wanted frames") + kAgain + " and without --tensor-io");
  if (kind == "Shape") {
    in(node, 0);
    Value sizes;
    sizes.kind = Value::kSizes;
    return sizes;
  }
  if (kind == "Cast") return cast(node);
  if (kind == "Transpose") {
    want(in(node, 0).kind == Value::kImage && node.ints.count("perm") &&
             node.ints.at("perm") == std::vector<int64_t>{0, 3, 1, 2}, "it is not the one of the frames");
    return in(node, 0);
  }
  if (kind == "Gather") return gather(node);
  if (kind == "Sub" || kind == "Add" || kind == "Mul") return arithmetic(node);
  if (kind == "PRelu") return prelu(node);
  if (kind == "Concat") return concat(node);
  if (kind == "AveragePool") return average(node);
  if (kind == "Conv") return convolution(node);
  if (kind == "QuantizeLinear" || kind == "DequantizeLinear") return pair(node);
  if (kind == "ReduceMean" || kind == "GlobalAveragePool") return mean(node);
  if (kind == "Gemm") return linear(node);
  if (kind == "Relu" || kind == "Sigmoid" || kind == "Unsqueeze" || kind == "Reshape") return through_gate(node);
  if (kind == "Resize" || kind == "ArgMax") return head(node);
  fail("no operator of a CGNet");
}

Value Reader::cast(const Node& node) {
  Value value = in(node, 0);
  if (value.kind == Value::kFrames) {
    want(node.integer("to", 0) == Tensor::kFloat, "it makes no f32 of the frames");
    value.kind = Value::kImage;
    for (int i = 0; i < 3; i++) net_.mean[i] = 0, net_.scale[i] = 1, net_.order[i] = i;
  } else {
    want(value.kind == Value::kLabels && node.integer("to", 0) == Tensor::kUint8, "it is none of this network's");
  }
  return value;
}

Value Reader::gather(const Node& node) {
  const Value &image = in(node, 0), *index = constant(node, 1);
  want(image.kind == Value::kImage && index && node.integer("axis", 0) == 1 && net_.ops.empty(), "it picks no colours");
  const auto list = index->constant->as<int64_t>(Tensor::kInt64, node.name);
  want(list.size() == 3 && std::set<int64_t>(list.begin(), list.end()) == std::set<int64_t>{0, 1, 2},
       "it is no order of three colours");
  float mean[3], scale[3];
  int order[3];
  std::copy_n(net_.mean, 3, mean), std::copy_n(net_.scale, 3, scale), std::copy_n(net_.order, 3, order);
  for (size_t i = 0; i < 3; i++) {
    const auto from = static_cast<size_t>(list[i]);
    net_.mean[i] = mean[from], net_.scale[i] = scale[from], net_.order[i] = order[from];
  }
  return image;
}

Value Reader::arithmetic(const Node& node) {
  const bool first = constant(node, 0) != nullptr;
  want(node.inputs.size() == 2, "it has not two inputs");
  const Value& value = in(node, first ? 1 : 0);
  if (!first && !constant(node, 1)) return node.op == "Add" ? sum(node) : gated(node);
  want(!(first && node.op == "Sub"), "it subtracts from a constant");
  if (value.kind == Value::kImage) {
    want(net_.ops.empty(), "it changes the image between two readers");
    const Floats list = per_channel(node, first ? 0 : 1, 3);
    for (size_t i = 0; i < 3; i++)
      if (node.op == "Mul") want(list[i] != 0, "it removes a colour"), net_.scale[i] *= list[i];
      else net_.mean[i] += (node.op == "Sub" ? list[i] : -list[i]) / net_.scale[i];
    return value;
  }
  want(value.kind == Value::kMap && value.step == 0, "it changes what is no map");
  const int count = channels(value);
  Floats list = per_channel(node, first ? 0 : 1, count), same(list.size(), node.op == "Mul" ? 0.0f : 1.0f);
  if (node.op == "Sub")
    for (float& number : list) number = -number;
  return node.op == "Mul" ? affine(value, list, same) : affine(value, same, list);
}

Value Reader::affine(Value value, const Floats& scale, const Floats& shift) {
  size_t at = 0;
  for (Branch& branch : value.branches) {
    const auto count = static_cast<size_t>(op(branch.op).channels);
    if (branch.steps.empty() || branch.steps.back().prelu)
      branch.steps.push_back({false, Floats(count, 1), Floats(count, 0)});
    Step& step = branch.steps.back();
    for (size_t i = 0; i < count; i++) {
      step.scale[i] *= scale[at + i];
      step.shift[i] = step.shift[i] * scale[at + i] + shift[at + i];
    }
    at += count;
  }
  return value;
}

Value Reader::prelu(const Node& node) {
  Value value = in(node, 0);
  want(value.kind == Value::kMap && value.step == 0, "it follows no convolution");
  const Floats slope = per_channel(node, 1, channels(value));
  size_t at = 0;
  for (Branch& branch : value.branches) {
    const auto count = static_cast<size_t>(op(branch.op).channels);
    const auto from = slope.begin() + static_cast<ptrdiff_t>(at);
    branch.steps.push_back({true, Floats(from, from + static_cast<ptrdiff_t>(count)), {}});
    at += count;
  }
  return value;
}

Value Reader::concat(const Node& node) {
  want(node.integer("axis", 0) == 1, "it joins no channels");
  Value joined;
  for (size_t i = 0; i < node.inputs.size(); i++) {
    const Value& value = in(node, i);
    want(value.kind == Value::kMap && value.step == 0 && !value.branches.empty(), "it joins what is no map");
    joined.branches.insert(joined.branches.end(), value.branches.begin(), value.branches.end());
    want(op(value.branches[0].op).level == op(joined.branches[0].op).level, "it joins maps of several sizes");
  }
  return joined;
}

Value Reader::head(const Node& node) {
  Value value;
  if (node.op == "ArgMax") {
    want(in(node, 0).kind == Value::kScores && node.integer("axis", 0) == 1 && node.integer("select_last_index", 0) == 0,
         "it is not the class of the largest score");
    value.kind = Value::kLabels;
    return value;
  }
  const Value& scores = in(node, 0);
  const auto text = [&](const char* key) { return node.texts.count(key) ? node.texts.at(key) : std::string(); };
  const std::string mode = text("coordinate_transformation_mode");
  want(scores.kind == Value::kMap && scores.step == 0 && scores.branches.size() == 1 && text("mode") == "linear" &&
           (mode.empty() || mode == "half_pixel" || mode == "pytorch_half_pixel") && net_.scores.op < 0,
       "it is not the bilinear enlargement of the scores");
  net_.scores = store(scores, 0)[0];
  net_.classes = op(net_.scores.op).channels;
  want(net_.classes <= 255 && op(net_.scores.op).level == 3 && op(net_.scores.op).kind == Op::kDense,
       "it does not enlarge the scores of a classifier");
  value.kind = Value::kScores;
  return value;
}

void Reader::check_types() {
  for (const Op& each : net_.ops)
    if (each.kind == Op::kDense || each.kind == Op::kDepthwise) net_.int8 = net_.int8 || each.read_step > 0;
  for (const Op& each : net_.ops)
    if (each.kind != Op::kPool && each.weight_step.empty() == net_.int8)
      throw Error("the convolution " + each.name.substr(0, 80) + " is in f32 and others are in int8: this engine wants all in int8"
                  "; export it with cgnet-export --target native --int8");
}

Network recognise(const Graph& graph) {
  Network network = Reader(graph).read();
  leave_out_dead(network);
  return network;
}

}  // namespace cgnet::native
