// Convolutions, the means that the image is halved by, and what int8 wraps around them.
#include "reader.hpp"

#include <algorithm>

namespace cgnet::native {

Value Reader::convolution(const Node& node) {
  const Value &x = in(node, 0), *kernel = constant(node, 1);
  want(kernel, "its weights are no constant");
  const auto& dims = kernel->constant->dims;
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
  conv.weight = numbers(node, 1);
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

int64_t Reader::pair_of(const Node& node, const char* key) const {
  const auto found = node.ints.find(key);
  if (found == node.ints.end()) return 1;
  want(found->second.size() == 2 && found->second[0] == found->second[1] && found->second[0] > 0 &&
           found->second[0] <= 16, "it treats rows and columns in different ways");
  return found->second[0];
}

bool Reader::is(const Node& node, const char* key, std::vector<int64_t> wanted) const {
  const auto found = node.ints.find(key);
  return found != node.ints.end() && found->second == wanted;
}

Value Reader::average(const Node& node) {
  want(is(node, "kernel_shape", {3, 3}) && is(node, "strides", {2, 2}) && is(node, "pads", {1, 1, 1, 1}) &&
           node.integer("count_include_pad", 0) == 1 && node.integer("ceil_mode", 0) == 0, "it is none of a CGNet");
  return pooled(in(node, 0));
}

// The mean of 3x3 pixels at every second one, zeros outside: of the image or of such a mean.
Value Reader::pooled(const Value& value) {
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

// The pool with a factor for each channel, in the kernel of a convolution.
Value Reader::pool_branch(const Op& conv, const Value& x) {
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

Value Reader::pair(const Node& node) {
  const Value& x = in(node, 0);
  if (x.kind == Value::kConstant) {
    want(node.op == "DequantizeLinear" && node.integer("axis", 1) == 0, "it is not a weight's");
    Value value = x;
    want(x.steps.empty() && x.constant->type == Tensor::kInt8, "it is not int8's");
    value.steps = numbers(node, 1);
    want(!x.constant->dims.empty() && static_cast<int64_t>(value.steps.size()) == x.constant->dims[0] && x.constant->size() > 0,
         "it has not a scale a filter");
    if (node.inputs.size() > 2)
      for (const int8_t zero : constant(node, 2) ? constant(node, 2)->constant->as<int8_t>(Tensor::kInt8, node.name)
                                                 : std::vector<int8_t>{1})
        want(zero == 0, "its weights are not symmetric");
    for (const float step : value.steps) want(step > 0, "a scale is not positive");
    return value;
  }
  const Floats scale = numbers(node, 1);
  want(scale.size() == 1 && scale[0] > 0 && node.inputs.size() == 3 && constant(node, 2), "it has not one scale");
  const Tensor& zero = *constant(node, 2)->constant;
  want(zero.bytes == 1 && ((zero.type == Tensor::kInt8 && *zero.data == 0) ||
                           (zero.type == Tensor::kUint8 && *zero.data == 128)), "it is not symmetric");
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

}  // namespace cgnet::native
