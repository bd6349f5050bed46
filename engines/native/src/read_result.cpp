// How an operator's result is read: residual sums, and the forms that it is stored in.
#include "reader.hpp"

#include <algorithm>
#include <utility>

namespace cgnet::native {

// An operator's own PReLU is the step that everybody reads it through; what comes after is a reader's.
void Reader::settle(Branch& branch) {
  Op& it = op(branch.op);
  want(branch.stage == stages_[branch.op], "a convolution is read with and without what follows it");
  if (branch.stage > 0) return;
  const bool begins = !branch.steps.empty() && branch.steps[0].prelu;
  if (settled_.insert(branch.op).second && begins && it.kind != Op::kPool) it.slope = branch.steps[0].scale;
  if (it.slope.empty()) return;
  want(begins && branch.steps[0].scale == it.slope, "a convolution is read before and after its PReLU");
  branch.steps.erase(branch.steps.begin());
}

std::vector<Source> Reader::store(const Value& value, float step) {
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

// The residual sum: of the two, what was made later is added to the trunk.
Value Reader::sum(const Node& node) {
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

}  // namespace cgnet::native
