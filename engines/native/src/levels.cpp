#include "levels.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace cgnet::native {
namespace {

constexpr double kRounds = 127.5 / 127;  // a weight that is larger by less is the largest one, rounded

// The least step by which no weight is too large. The classifier, whose errors go straight to the scores, has 7 bits
// only where a pair's products would not fit into 16.
double needed_step(const Network& network, const Kernels& kernels, const Op& op, const float* from, size_t count,
                   const std::vector<int>& elements) {
  float peak = 0;
  for (size_t i = 0; i < count; i++) peak = std::max(peak, std::abs(from[i]));
  const bool scores = &op == &network.ops[static_cast<size_t>(network.scores.op)];
  if (kernels.most_weight == 127 || !scores) return static_cast<double>(peak) / kernels.most_weight;
  const auto weight = [&](int element) { return element < 0 ? 0 : from[element]; };
  for (size_t i = 0; i < elements.size(); i += 2) peak = std::max(peak, std::abs(weight(elements[i]) + weight(elements[i + 1])));
  return static_cast<double>(peak) / 127;
}

// Rounds as many weights the other way as their sum asks for, those first to which it matters least: what neighbouring
// pixels of a channel, or all channels, have in common is then weighed as before.
void keep_sum(const float* from, size_t count, double inverse, int8_t* to) {
  const auto error = [&](size_t i) { return to[i] - from[i] * inverse; };
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += error(i);
  const long excess = std::lrint(sum);
  if (!excess) return;
  const int sign = excess > 0 ? 1 : -1;
  std::vector<std::pair<double, size_t>> order(count);
  for (size_t i = 0; i < count; i++) order[i] = {-sign * error(i), i};
  const auto end = order.begin() + std::abs(excess);
  std::nth_element(order.begin(), end, order.end());
  for (auto it = order.begin(); it != end; ++it) to[it->second] = static_cast<int8_t>(to[it->second] - sign);
}

}  // namespace

void levels(const Network& network, const Kernels& kernels, const Op& op, const float* from, size_t count, size_t filter,
            const std::vector<int>& elements, double& step, int8_t* to) {
  step = op.weight_step[filter];
  const bool moved = op.kind == Op::kImage && (network.scale[0] != 1 || network.scale[1] != 1 || network.scale[2] != 1);
  const double needed = needed_step(network, kernels, op, from, count, elements);
  const bool changes = needed > 0 && (moved || needed > kRounds * step);
  if (changes) step = needed;
  const double inverse = 1 / step;
  for (size_t i = 0; i < count; i++) to[i] = static_cast<int8_t>(std::lrint(from[i] * inverse));
  if (!changes) return;
  const size_t taps = static_cast<size_t>(op.kernel) * static_cast<size_t>(op.kernel);
  for (size_t c = 0; c < count; c += taps) keep_sum(from + c, taps, inverse, to + c);
  keep_sum(from, count, inverse, to);
}

}  // namespace cgnet::native
