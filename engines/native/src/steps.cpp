#include "steps.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace cgnet::native {
namespace {

constexpr int kMost = 32767 / 255;  // of a sum's positive weights, and of its negative ones: they meet u8
constexpr size_t kOpen = 64;        // groups that a step is tried in: the time is linear in the steps

using Sums = std::vector<uint8_t>;  // for each pair of weights, what is positive, then what is negative

struct Group {
  Sums sums;
  int source;
  std::vector<size_t> steps;
};

Sums sums_of(const int8_t* weights, size_t pairs) {
  Sums sums(2 * pairs);
  for (size_t i = 0; i < pairs; i++)
    for (size_t k = 2 * i; k < 2 * i + 2; k++) {
      sums[i] = static_cast<uint8_t>(sums[i] + std::max<int>(weights[k], 0));
      sums[pairs + i] = static_cast<uint8_t>(sums[pairs + i] - std::min<int>(weights[k], 0));
    }
  return sums;
}

bool fits(const Sums& a, const Sums& b) {
  int most = 0;
  for (size_t i = 0; i < a.size(); i++) most = std::max(most, a[i] + b[i]);
  return most <= kMost;
}

// First fit, the heaviest step first.
std::vector<Group> groups_of(const int8_t* weights, size_t pairs, const std::vector<int>& sources) {
  std::vector<Sums> sums;
  std::vector<uint8_t> peaks;
  for (size_t i = 0; i < sources.size(); i++) {
    sums.push_back(sums_of(weights + 2 * pairs * i, pairs));
    peaks.push_back(*std::max_element(sums[i].begin(), sums[i].end()));
  }
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return peaks[a] > peaks[b]; });
  std::vector<Group> groups;
  for (const size_t step : order) {
    if (!peaks[step]) break;
    const auto open = groups.end() - static_cast<ptrdiff_t>(std::min(groups.size(), kOpen));
    auto group = std::find_if(open, groups.end(), [&](const Group& it) {
      return it.source == sources[step] && fits(it.sums, sums[step]);
    });
    if (group == groups.end()) group = groups.insert(group, {Sums(2 * pairs), sources[step], {}});
    for (size_t i = 0; i < group->sums.size(); i++) group->sums[i] = static_cast<uint8_t>(group->sums[i] + sums[step][i]);
    group->steps.push_back(step);
  }
  return groups;
}

}  // namespace

void order_steps(PackedOp& op, const std::vector<RunOf>& runs, size_t lanes, size_t most_vectors) {
  std::vector<Quad> natural;
  std::vector<int> sources;
  for (size_t r = 0; r < runs.size(); r++)
    for (int k = 0; k < runs[r].steps; k++) {
      natural.push_back({4 * k, static_cast<uint16_t>(r), 0});
      sources.push_back(runs[r].source);
    }
  const Block packed = std::move(op.weights);
  op.weights = Block(packed.size());
  const uint8_t* from = packed.data();
  uint8_t* to = op.weights.data();
  const auto vectors = static_cast<size_t>(op.vectors);
  for (size_t begin = 0; begin < vectors; begin += most_vectors) {
    while (most_vectors > vectors - begin) most_vectors /= 2;
    const size_t bytes = 4 * lanes * most_vectors;
    for (Group& group : groups_of(reinterpret_cast<const int8_t*>(from), bytes / 2, sources)) {
      std::sort(group.steps.begin(), group.steps.end());
      for (const size_t step : group.steps) {
        op.quads.push_back(natural[step]);
        if (step == group.steps[0]) op.quads.back().group = static_cast<uint16_t>(group.steps.size());
        std::memcpy(to, from + step * bytes, bytes);
        to += bytes;
      }
    }
    op.quads.push_back({0, 0, 0});
    from += natural.size() * bytes;
  }
}

}  // namespace cgnet::native
