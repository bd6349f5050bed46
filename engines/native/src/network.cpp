#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace cgnet {
namespace {

using Floats = std::vector<float>;

// A per-channel step after an operator: x * scale + shift, or a PReLU.
struct Step {
  bool prelu = false;
  Floats scale, shift;  // a PReLU's slopes are `scale`
};

// Channels of one operator's result, with what was done to them since.
struct Branch {
  int op;
  std::vector<Step> steps;
  int stage = 0;  // how often the operator had taken something over: a gate, the sum
};

// What a name in the graph stands for.
struct Value {
  enum Kind { kConstant, kFrames, kImage, kMap, kMean, kHidden, kRelu, kExcited, kGate, kScores, kLabels, kSizes } kind = kMap;
  Tensor constant;                  // kConstant, as it is in the file
  Floats numbers, steps;            // of it, dequantised where `steps` isn't empty
  std::vector<Branch> branches;     // kMap
  float step = 0;                   // read through int8
  bool rounded = false;             // behind a QuantizeLinear, before its DequantizeLinear
  std::string of;                   // kMean to kGate: the map that was averaged
  int gate = -1;
};

constexpr int64_t kMostChannels = 512;  // twice what a CGNet has

const char* const kAgain = "; export it with cgnet-export --target native";

class Reader {
 public:
  explicit Reader(const Graph& graph) : graph_(graph) {}

  Network read() {
    for (const auto& [name, tensor] : graph_.constants) {
      Value value;
      value.kind = Value::kConstant;
      value.constant = tensor;
      if (tensor.type == Tensor::kFloat) value.numbers = tensor.as<float>(Tensor::kFloat, name);
      for (const float number : value.numbers)
        if (!std::isfinite(number)) throw Error("the constant " + name + " has values that are not finite");
      values_[name] = std::move(value);
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

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error("not a graph that this engine runs: " + node_->op + " " + node_->name.substr(0, 80) + ": " + what + kAgain);
  }
  void want(bool right, const char* what) const {
    if (!right) fail(what);
  }

  const Value& in(const Node& node, size_t i) const {
    want(i < node.inputs.size(), "an input is missing");
    const auto found = values_.find(node.inputs[i]);
    want(found != values_.end(), "it reads what no node before it made");
    return found->second;
  }
  const Value* constant(const Node& node, size_t i) const {
    const Value& value = in(node, i);
    return value.kind == Value::kConstant ? &value : nullptr;
  }
  const Floats& numbers(const Node& node, size_t i) const {
    const Value* value = constant(node, i);
    want(value && !value->numbers.empty(), "an input is no constant of f32");
    return value->numbers;
  }
  Floats per_channel(const Node& node, size_t i, int count) const {
    Floats list = numbers(node, i);
    const auto& dims = constant(node, i)->constant.dims;
    want(list.size() == 1 || (dims.size() >= 3 && dims[dims.size() - 1] == 1 && dims[dims.size() - 2] == 1),
         "a constant is not one number a channel");
    if (list.size() == 1) list.assign(static_cast<size_t>(count), list[0]);
    want(list.size() == static_cast<size_t>(count), "a constant has another number of channels");
    return list;
  }
  int channels(const Value& value) const {
    int count = 0;
    for (const Branch& branch : value.branches) count += net_.ops[static_cast<size_t>(branch.op)].channels;
    return count;
  }
  Op& op(int index) { return net_.ops[static_cast<size_t>(index)]; }

  Value evaluate(const Node& node) {
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

  Value cast(const Node& node) {
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

  Value gather(const Node& node) {
    const Value &image = in(node, 0), *index = constant(node, 1);
    want(image.kind == Value::kImage && index && node.integer("axis", 0) == 1 && net_.ops.empty(), "it picks no colours");
    const auto list = index->constant.as<int64_t>(Tensor::kInt64, node.name);
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

  Value arithmetic(const Node& node) {
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

  Value affine(Value value, const Floats& scale, const Floats& shift) {
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

  Value prelu(const Node& node) {
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

  Value concat(const Node& node) {
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

  // The mean of 3x3 pixels at every second one, zeros outside: of the image or of such a mean.
  Value pooled(const Value& value) {
    int before = -1;
    if (value.kind != Value::kImage) {
      want(value.kind == Value::kMap && value.branches.size() == 1 && value.branches[0].steps.empty() &&
               op(value.branches[0].op).kind == Op::kPool, "it averages neither the image nor a mean of it");
      before = value.branches[0].op;
    }
    auto [found, isnew] = pools_.emplace(before, static_cast<int>(net_.ops.size()));
    if (isnew) {
      Op pool;
      pool.kind = Op::kPool;
      pool.name = node_->name;
      pool.channels = pool.kernel = 3;
      pool.stride = 2;
      pool.level = before < 0 ? 1 : op(before).level + 1;
      want(pool.level <= 3, "it is below an eighth of the frame");
      if (before >= 0) pool.inputs = store(value, 0), pool.input_channels = {3};
      net_.ops.push_back(std::move(pool));
    }
    Value result;
    result.branches.push_back({found->second, {}});
    return result;
  }

  bool is(const Node& node, const char* key, std::vector<int64_t> wanted) const {
    const auto found = node.ints.find(key);
    return found != node.ints.end() && found->second == wanted;
  }

  Value average(const Node& node) {
    want(is(node, "kernel_shape", {3, 3}) && is(node, "strides", {2, 2}) && is(node, "pads", {1, 1, 1, 1}) &&
             node.integer("count_include_pad", 0) == 1 && node.integer("ceil_mode", 0) == 0, "it is none of a CGNet");
    return pooled(in(node, 0));
  }

  Value convolution(const Node& node) {
    const Value &x = in(node, 0), *kernel = constant(node, 1);
    want(kernel && !kernel->numbers.empty(), "its weights are no constant of f32");
    const auto& dims = kernel->constant.dims;
    want(dims.size() == 4 && dims[0] > 0 && dims[1] > 0 && dims[2] == dims[3] && (dims[2] == 1 || dims[2] == 3) &&
             dims[0] <= kMostChannels && dims[1] <= kMostChannels, "its kernel is neither 1x1 nor 3x3");
    Op conv;
    conv.name = node.name;
    conv.channels = static_cast<int>(dims[0]);
    conv.kernel = static_cast<int>(dims[2]);
    conv.stride = static_cast<int>(pair_of(node, "strides"));
    conv.dilation = static_cast<int>(pair_of(node, "dilations"));
    const int64_t group = node.integer("group", 1), pad = conv.kernel == 1 ? 0 : conv.dilation;
    want(conv.kernel == 1 || is(node, "pads", {pad, pad, pad, pad}), "its padding is not that of a CGNet");
    want(conv.kernel == 3 || !node.ints.count("pads") || is(node, "pads", {0, 0, 0, 0}), "it is 1x1 and padded");
    conv.weight = kernel->numbers;
    conv.weight_step = kernel->steps;
    conv.bias.assign(static_cast<size_t>(conv.channels), 0);
    if (node.inputs.size() > 2) conv.bias = numbers(node, 2);
    want(conv.bias.size() == static_cast<size_t>(conv.channels), "its bias has another number of channels");
    if (x.kind == Value::kMean || x.kind == Value::kRelu) return linear(node);
    const bool pools = x.kind == Value::kMap && x.branches.size() == 1 && op(x.branches[0].op).kind == Op::kPool &&
                       x.branches[0].steps.empty();
    if (group == 3 && conv.channels == 3 && (x.kind == Value::kImage || pools)) return pool_branch(conv, x);
    conv.read_step = x.step;
    if (x.kind == Value::kImage) {
      want(group == 1 && dims[1] == 3 && conv.kernel == 3 && conv.stride == 2 && conv.dilation == 1,
           "the first convolution is not 3x3 at every second pixel");
      conv.kind = Op::kImage;
      conv.level = 1;
    } else {
      want(x.kind == Value::kMap && !x.branches.empty(), "it reads no map");
      const int64_t count = channels(x);
      conv.kind = group == 1 ? Op::kDense : Op::kDepthwise;
      conv.level = op(x.branches[0].op).level + (conv.stride == 2);
      if (group == 1) {
        want(dims[1] == count && conv.dilation == 1 && conv.stride <= 2 && conv.stride <= conv.kernel,
             "it is no convolution of a CGNet");
      } else {
        want(group == count && dims[0] == count && dims[1] == 1 && conv.kernel == 3 && conv.stride == 1 &&
                 conv.dilation <= 16, "it is no depthwise convolution of a CGNet");
        want(x.branches.size() == 1 && op(x.branches[0].op).kind != Op::kPool, "it is depthwise and reads a concat or a pool");
      }
      want(x.branches.size() <= kMostInputs, "it reads more maps than one of a CGNet");
      for (const Branch& branch : x.branches) conv.input_channels.push_back(op(branch.op).channels);
      conv.inputs = store(x, x.step);
    }
    want(conv.weight_step.empty() == (x.step == 0) || x.kind == Value::kImage, "only one of its inputs is in int8");
    want(conv.level <= 3, "it is below an eighth of the frame");
    Value result;
    result.branches.push_back({static_cast<int>(net_.ops.size()), {}});
    net_.ops.push_back(std::move(conv));
    return result;
  }

  int64_t pair_of(const Node& node, const char* key) const {
    const auto found = node.ints.find(key);
    if (found == node.ints.end()) return 1;
    want(found->second.size() == 2 && found->second[0] == found->second[1] && found->second[0] > 0 &&
             found->second[0] <= 16, "it treats rows and columns in different ways");
    return found->second[0];
  }

  // The pool with a factor for each channel, in the kernel of a convolution.
  Value pool_branch(const Op& conv, const Value& x) {
    want(conv.kernel == 3 && conv.stride == 2 && conv.dilation == 1, "it halves the image in another way");
    Floats scale(3), shift = conv.bias;
    for (size_t i = 0; i < 3; i++) {
      for (size_t k = 0; k < 9; k++) want(conv.weight[9 * i + k] == conv.weight[9 * i], "its weights are not all alike");
      scale[i] = 9 * conv.weight[9 * i];
    }
    Value image = x;
    image.step = 0;
    return affine(pooled(image), scale, shift);
  }

  Value pair(const Node& node) {
    const Value& x = in(node, 0);
    if (x.kind == Value::kConstant) {
      want(node.op == "DequantizeLinear" && node.integer("axis", 1) == 0, "it is not a weight's");
      Value value = x;
      const auto levels = x.constant.as<int8_t>(Tensor::kInt8, node.name);
      value.steps = numbers(node, 1);
      const size_t count = value.steps.size(), each = count ? levels.size() / count : 0;
      want(!x.constant.dims.empty() && static_cast<int64_t>(count) == x.constant.dims[0] && each, "it has not a scale a filter");
      if (node.inputs.size() > 2)
        for (const int8_t zero : constant(node, 2) ? constant(node, 2)->constant.as<int8_t>(Tensor::kInt8, node.name)
                                                   : std::vector<int8_t>{1})
          want(zero == 0, "its weights are not symmetric");
      value.numbers.resize(levels.size());
      for (size_t filter = 0; filter < count; filter++) {
        want(value.steps[filter] > 0, "a scale is not positive");
        for (size_t i = filter * each; i < (filter + 1) * each; i++)
          value.numbers[i] = static_cast<float>(levels[i]) * value.steps[filter];
      }
      return value;
    }
    const Floats& scale = numbers(node, 1);
    want(scale.size() == 1 && scale[0] > 0 && node.inputs.size() == 3 && constant(node, 2), "it has not one scale");
    const Tensor& zero = constant(node, 2)->constant;
    want(zero.bytes.size() == 1 && ((zero.type == Tensor::kInt8 && zero.bytes[0] == 0) ||
                                    (zero.type == Tensor::kUint8 && zero.bytes[0] == 128)), "it is not symmetric");
    want(x.kind == Value::kMap || x.kind == Value::kImage, "it rounds what is no map");
    Value value = x;
    if (node.op == "QuantizeLinear") {
      want(!x.rounded && x.step == 0, "it rounds what is rounded");
      value.step = scale[0];
      value.rounded = true;
    } else {
      want(x.rounded && x.step == scale[0], "it has another scale than its QuantizeLinear");
      value.rounded = false;
    }
    return value;
  }

  Value mean(const Node& node) {
    const Value& x = in(node, 0);
    want(x.kind == Value::kMap && x.step == 0 && !x.branches.empty(), "it averages what is no map");
    if (node.op == "ReduceMean") {
      auto axes = node.ints.count("axes") ? node.ints.at("axes") : std::vector<int64_t>{};
      if (node.inputs.size() > 1 && constant(node, 1)) axes = constant(node, 1)->constant.as<int64_t>(Tensor::kInt64, node.name);
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

  Value linear(const Node& node) {
    const Value &x = in(node, 0), *weight = constant(node, 1);
    want((x.kind == Value::kMean || x.kind == Value::kRelu) && weight && node.inputs.size() == 3, "it is no part of a gate");
    const auto real = [&](const char* key) { return node.floats.count(key) ? node.floats.at(key) : 1.0f; };
    want(node.op == "Conv" || (node.integer("transB", 0) == 1 && node.integer("transA", 0) == 0 && real("alpha") == 1 &&
                               real("beta") == 1), "it is no plain linear map");
    Value value = x;
    Gate& gate = net_.gates[static_cast<size_t>(x.gate)];
    const Floats &w = numbers(node, 1), &b = numbers(node, 2);
    const auto count = static_cast<size_t>(gate.channels);
    if (x.kind == Value::kMean) {
      want(w.size() == b.size() * count && b.size() <= 256, "its sizes are not those of a gate");
      gate.squeeze = w, gate.squeeze_bias = b, gate.hidden = static_cast<int>(b.size());
      value.kind = Value::kHidden;
    } else {
      want(b.size() == count && w.size() == b.size() * static_cast<size_t>(gate.hidden), "its sizes are not those of a gate");
      gate.excite = w, gate.excite_bias = b;
      value.kind = Value::kExcited;
    }
    return value;
  }

  Value through_gate(const Node& node) {
    Value value = in(node, 0);
    const auto turn = [&](Value::Kind from, Value::Kind to) { want(value.kind == from, "it is no part of a gate"), value.kind = to; };
    if (node.op == "Relu") turn(Value::kHidden, Value::kRelu);
    else if (node.op == "Sigmoid") turn(Value::kExcited, Value::kGate);
    else want(value.kind == Value::kGate || value.kind == Value::kMean, "it is no part of a gate");
    return value;
  }

  Value gated(const Node& node) {
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

  // The residual sum: of the two, what was made later is added to the trunk.
  Value sum(const Node& node) {
    const Value *x = &in(node, 0), *y = &in(node, 1);
    want(x->kind == Value::kMap && y->kind == Value::kMap && x->step == 0 && y->step == 0 && !x->branches.empty() &&
             !y->branches.empty(), "it adds what is no map in f32 (--int8-scope stored is not for this engine)");
    if (x->branches[0].op > y->branches[0].op) std::swap(x, y);
    Op& head = op(x->branches[0].op);
    const int count = channels(*x);
    want(count == channels(*y), "it adds maps of several widths");
    if (head.trunk < 0) {
      want(x->branches.size() == 1 && head.kind == Op::kDense, "the trunk begins with no convolution");
      head.trunk = static_cast<int>(net_.trunks.size());
      net_.trunks.push_back(count);
      newest_.push_back({x->branches[0].op});
    }
    const int trunk = head.trunk;
    std::vector<int> ops;
    for (Branch branch : x->branches) {
      settle(branch);
      want(branch.steps.empty(), "the trunk is changed before the sum");
      op(branch.op).keeps = true;
      ops.push_back(branch.op);
    }
    want(newest_[static_cast<size_t>(trunk)] == ops, "it adds to what is no longer the trunk");
    ops.clear();
    Value value = *y;
    int at = 0;
    for (Branch& branch : value.branches) {
      Op& part = op(branch.op);
      settle(branch);
      want(branch.steps.empty() && part.outs.empty() && part.trunk < 0 && part.level == head.level &&
               (part.kind == Op::kDense || part.kind == Op::kDepthwise), "it adds what is no residual branch");
      part.trunk = trunk, part.trunk_channel = at, part.adds = true;
      branch.stage = ++stages_[branch.op];
      at += part.channels;
      ops.push_back(branch.op);
    }
    newest_[static_cast<size_t>(trunk)] = ops;
    return value;
  }

  // An operator's own PReLU is the step that everybody reads it through; what comes after is a reader's.
  void settle(Branch& branch) {
    Op& it = op(branch.op);
    want(branch.stage == stages_[branch.op], "a convolution is read with and without what follows it");
    if (branch.stage > 0) return;
    const bool begins = !branch.steps.empty() && branch.steps[0].prelu;
    if (settled_.insert(branch.op).second && begins && it.kind != Op::kPool) it.slope = branch.steps[0].scale;
    if (it.slope.empty()) return;
    want(begins && branch.steps[0].scale == it.slope, "a convolution is read before and after its PReLU");
    branch.steps.erase(branch.steps.begin());
  }

  std::vector<Source> store(const Value& value, float step) {
    want(!value.rounded, "it reads integers");
    std::vector<Source> sources;
    for (Branch branch : value.branches) {
      settle(branch);
      Out out;
      out.step = step;
      size_t at = 0;
      if (at < branch.steps.size() && !branch.steps[at].prelu) out.scale = branch.steps[at].scale, out.shift = branch.steps[at].shift, at++;
      if (at < branch.steps.size() && branch.steps[at].prelu) out.slope = branch.steps[at++].scale;
      want(at == branch.steps.size(), "more follows a convolution than one norm and one PReLU");
      auto& outs = op(branch.op).outs;
      const auto found = std::find(outs.begin(), outs.end(), out);
      sources.push_back({branch.op, static_cast<int>(found - outs.begin())});
      if (found == outs.end()) outs.push_back(out);
      want(outs.size() <= 3, "it is read in more ways than one in a CGNet");
    }
    return sources;
  }

  Value head(const Node& node) {
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

  void check_types() {
    for (const Op& each : net_.ops)
      if (each.kind == Op::kDense || each.kind == Op::kDepthwise) net_.int8 = net_.int8 || each.read_step > 0;
    for (const Op& each : net_.ops)
      if (each.kind != Op::kPool && each.weight_step.empty() == net_.int8)
        throw Error("the convolution " + each.name.substr(0, 80) + " is in f32 and others are in int8: this engine wants all in int8"
                    "; export it with cgnet-export --target native --int8");
  }

  const Graph& graph_;
  const Node* node_ = nullptr;
  Network net_;
  std::map<std::string, Value> values_;
  std::map<int, int> pools_;
  std::set<int> settled_;
  std::map<int, int> stages_;
  std::vector<std::vector<int>> newest_;  // of each trunk: the operators that made it what it is
};

}  // namespace

Network recognise(const Graph& graph) { return Reader(graph).read(); }

}  // namespace cgnet
