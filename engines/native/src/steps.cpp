#include "steps.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace cgnet::native {
namespace {

constexpr int kMost = 32767 / 128;  // of the magnitudes in a sum: they meet -128 to 127
constexpr size_t kOpen = 64;        // groups that a step is tried in: the time is linear in the steps

using Sums = std::vector<uint8_t>;  // of the magnitudes of each pair of weights

struct Group {
  Sums sums;
  int source;
  std::vector<size_t> steps;
};

Sums sums_of(const int8_t* weights, size_t pairs) {
  Sums sums(pairs);
  for (size_t i = 0; i < pairs; i++) sums[i] = static_cast<uint8_t>(std::abs(weights[2 * i]) + std::abs(weights[2 * i + 1]));
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
    if (group == groups.end()) group = groups.insert(group, {Sums(pairs), sources[step], {}});
    for (size_t i = 0; i < group->sums.size(); i++) group->sums[i] = static_cast<uint8_t>(group->sums[i] + sums[step][i]);
    group->steps.push_back(step);
  }
  return groups;
}

// What makes signed bytes of the u8 that a group's weights meet: -128 times the sum of each pair.
void append_starts(const int8_t* weights, size_t pairs, const std::vector<size_t>& steps, std::vector<uint8_t>& to) {
  for (size_t i = 0; i < pairs; i++) {
    int sum = 0;
    for (const size_t step : steps) sum += weights[2 * (pairs * step + i)] + weights[2 * (pairs * step + i) + 1];
    const auto start = static_cast<uint16_t>(-128 * sum);
    to.insert(to.end(), {static_cast<uint8_t>(start), static_cast<uint8_t>(start >> 8)});
  }
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
  std::vector<uint8_t> ordered;
  const auto* from = reinterpret_cast<const int8_t*>(op.weights.data());
  const auto vectors = static_cast<size_t>(op.vectors);
  for (size_t begin = 0; begin < vectors; begin += most_vectors) {
    while (most_vectors > vectors - begin) most_vectors /= 2;
    const size_t bytes = 4 * lanes * most_vectors;
    for (Group& group : groups_of(from, bytes / 2, sources)) {
      std::sort(group.steps.begin(), group.steps.end());
      append_starts(from, bytes / 2, group.steps, ordered);
      for (const size_t step : group.steps) {
        op.quads.push_back(natural[step]);
        if (step == group.steps[0]) op.quads.back().group = static_cast<uint16_t>(group.steps.size());
        ordered.insert(ordered.end(), from + step * bytes, from + (step + 1) * bytes);
      }
    }
    op.quads.push_back({0, 0, 0});
    from += natural.size() * bytes;
  }
  op.weights = Block(ordered.size());
  std::copy(ordered.begin(), ordered.end(), op.weights.data());
}

}  // namespace cgnet::native
