// sums CASES: dense int8 rows of kernels that add products up in 16 bits, on the largest maps and weights, against plain sums.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "steps.hpp"

using namespace cgnet::native;

static std::mt19937 draw(7);

static int up_to(int most) { return static_cast<int>(draw() % static_cast<unsigned>(most + 1)); }

static bool row_is_right(const Kernels& kernels) {
  const int width = 1 + up_to(40), vectors = 1 + up_to(4), slots = vectors * kernels.lanes;
  std::vector<RunOf> runs;
  std::vector<std::vector<uint8_t>> maps;
  std::vector<Run> rows;
  int steps = 0;
  for (int r = 0; r <= up_to(5); r++) {
    runs.push_back({1 + up_to(20), r / 3});
    const int pixel = 8 * (1 + r / 3);
    std::vector<uint8_t> map(static_cast<size_t>(width * pixel + 4 * runs.back().steps) + kPastEnd);
    const bool full = up_to(1);
    for (uint8_t& byte : map) byte = static_cast<uint8_t>(full ? 255 : up_to(255));
    maps.push_back(map);
    rows.push_back({nullptr, pixel, runs.back().steps});
    steps += runs.back().steps;
  }
  for (size_t r = 0; r < rows.size(); r++) rows[r].at = maps[r].data();
  // (steps, slots, 4), and as it is packed.
  std::vector<int8_t> weights(static_cast<size_t>(steps * slots * 4));
  const int small = up_to(1) ? 63 : 5;
  for (int8_t& weight : weights) {
    const int size = up_to(9) ? up_to(small) : 63;
    weight = static_cast<int8_t>(up_to(3) ? size : -size);
  }
  PackedOp op;
  op.slots = slots, op.vectors = vectors;
  op.weights = Block(weights.size());
  auto* to = reinterpret_cast<int8_t*>(op.weights.data());
  for (int begin = 0, size = kernels.most_vectors; begin < vectors; begin += size) {
    while (size > vectors - begin) size /= 2;
    for (int step = 0; step < steps; step++, to += 4 * kernels.lanes * size)
      std::memcpy(to, &weights[static_cast<size_t>((step * slots + begin * kernels.lanes) * 4)], static_cast<size_t>(4 * kernels.lanes * size));
  }
  order_steps(op, runs, static_cast<size_t>(kernels.lanes), static_cast<size_t>(kernels.most_vectors));
  Block one(4 * static_cast<size_t>(slots)), none(4 * static_cast<size_t>(slots)), result(4 * static_cast<size_t>(slots * width));
  for (int i = 0; i < slots; i++) one.floats()[i] = 1;
  Tail tail{};
  tail.scale = one.floats(), tail.bias = none.floats(), tail.outs = 1;
  tail.out[0] = {result.data(), 4 * slots, nullptr, nullptr, nullptr, 1, false};
  kernels.dense_u8({rows.data(), static_cast<int>(rows.size()), width, vectors, op.weights.data(), op.quads.data(), tail});
  for (int x = 0; x < width; x++)
    for (int slot = 0; slot < slots; slot++) {
      int sum = 0, step = 0;
      for (const Run& run : rows)
        for (int k = 0; k < 4 * run.steps; k++)
          sum += run.at[x * run.pixel + k] * weights[static_cast<size_t>(((step + k / 4) * slots + slot) * 4 + k % 4)],
              step += k == 4 * run.steps - 1 ? run.steps : 0;
      if (result.floats()[x * slots + slot] != static_cast<float>(sum))
        return std::printf("pixel %d, slot %d: %f, wanted %d\n", x, slot, static_cast<double>(result.floats()[x * slots + slot]), sum), false;
    }
  return true;
}

int main(int, char** arguments) {
  const Kernels* const kernels = avx2_kernels();
  if (!kernels || !__builtin_cpu_supports("avx2")) return std::printf("no such kernels here\n"), 0;
  for (int i = 0; i < std::atoi(arguments[1]); i++)
    if (!row_is_right(*kernels)) return 1;
  std::printf("%s rows\n", arguments[1]);
}
