// Recognises a CGNet in an ONNX graph, node by node: each makes a value of the values before it, and operators and their
// steps on the way.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "network.hpp"

namespace cgnet::native {

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
  const Tensor* constant = nullptr; // kConstant, as it is in the file
  Floats steps;                     // of its int8, one a filter
  std::vector<Branch> branches;     // kMap
  float step = 0;                   // read through int8
  bool rounded = false;             // behind a QuantizeLinear, before its DequantizeLinear
  std::string of;                   // kMean to kGate: the map that was averaged
  int gate = -1;
};

constexpr int64_t kMostChannels = 512;  // twice what a CGNet has

constexpr char kAgain[] = "; export it with cgnet-export --target native";

class Reader {
 public:
  explicit Reader(const Graph& graph) : graph_(graph) {}

  Network read();

 private:
  // reader.cpp
  [[noreturn]] void fail(const std::string& what) const;
  void want(bool right, const char* what) const;
  const Value& in(const Node& node, size_t i) const;
  const Value* constant(const Node& node, size_t i) const;  // null where it is none
  Floats numbers(const Node& node, size_t i) const;  // of a constant, dequantised
  Floats per_channel(const Node& node, size_t i, int count) const;
  int channels(const Value& value) const;
  Op& op(int index) { return net_.ops[static_cast<size_t>(index)]; }
  Value evaluate(const Node& node);
  Value cast(const Node& node);
  Value gather(const Node& node);
  Value arithmetic(const Node& node);
  Value affine(Value value, const Floats& scale, const Floats& shift);
  Value prelu(const Node& node);
  Value concat(const Node& node);
  Value head(const Node& node);
  void check_types();

  // read_conv.cpp
  Value convolution(const Node& node);
  int64_t pair_of(const Node& node, const char* key) const;
  bool is(const Node& node, const char* key, std::vector<int64_t> wanted) const;
  Value average(const Node& node);
  Value pooled(const Value& value);
  Value pool_branch(const Op& conv, const Value& x);
  Value pair(const Node& node);

  // read_gate.cpp
  Value mean(const Node& node);
  Value linear(const Node& node);
  Value through_gate(const Node& node);
  Value gated(const Node& node);

  // read_result.cpp
  void settle(Branch& branch);
  std::vector<Source> store(const Value& value, float step);
  Value sum(const Node& node);

  const Graph& graph_;
  const Node* node_ = nullptr;
  Network net_;
  std::unordered_map<std::string, Value> values_;
  std::map<int, int> pools_;
  std::set<int> settled_;
  std::map<int, int> stages_;
  std::vector<std::vector<int>> newest_;  // of each trunk: the operators that made it what it is
};

}  // namespace cgnet::native
