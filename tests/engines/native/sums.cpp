// sums CASES [INSTRUCTIONS [bf16]]: moved bytes, and int8 rows, dense and depthwise, on the largest maps and weights that the
// kernels take, against plain sums, to the bit; or dense rows of bf16, of whole numbers, whose sums are exact too. Without
// instructions: int8, of all that this CPU runs.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "onnx.hpp"
#include "steps.hpp"

using namespace cgnet::native;

static std::mt19937 draw(7);

static int up_to(int most) { return static_cast<int>(draw() % static_cast<unsigned>(most + 1)); }

static std::vector<uint8_t> drawn_map(size_t bytes) {
  std::vector<uint8_t> map(bytes + kPastEnd);
  const bool full = up_to(1);
  for (uint8_t& byte : map) byte = static_cast<uint8_t>(full ? 255 : up_to(255));
  return map;
}

static std::vector<int8_t> drawn_weights(size_t count, int largest) {
  std::vector<int8_t> weights(count);
  const int small = up_to(1) ? largest : 5;
  for (int8_t& weight : weights) {
    const int size = up_to(9) ? up_to(small) : largest;
    weight = static_cast<int8_t>(up_to(3) ? size : -size);
  }
  return weights;
}

// A tail that leaves the sums as they are, and where they go.
struct Plain {
  Block one, none, result;
  Tail tail{};

  Plain(int slots, int width)
      : one(4 * static_cast<size_t>(slots)), none(4 * static_cast<size_t>(slots)), result(4 * static_cast<size_t>(slots * width)) {
    for (int i = 0; i < slots; i++) one.floats()[i] = 1;
    tail.scale = one.floats(), tail.bias = none.floats(), tail.outs = 1;
    tail.out[0] = {result.data(), 4 * slots, nullptr, nullptr, nullptr, 1, Element::kF32};
  }
};

static bool is(float found, int wanted, int x, int slot) {
  if (found == static_cast<float>(wanted)) return true;
  std::printf("pixel %d, slot %d: %f, wanted %d\n", x, slot, static_cast<double>(found), wanted);
  return false;
}

// Steps, filled up to how many a run's weights have.
static int filled(int steps, const Kernels& kernels) { return (steps + kernels.run_steps - 1) / kernels.run_steps * kernels.run_steps; }

static bool dense_row_is_right(const Kernels& kernels) {
  const int width = 1 + up_to(80), vectors = 1 + up_to(8), slots = vectors * kernels.lanes;
  std::vector<RunOf> runs;
  std::vector<std::vector<uint8_t>> maps;
  std::vector<Run> rows;
  int steps = 0;  // of all runs, filled up
  for (int r = 0; r <= up_to(5); r++) {
    runs.push_back({1 + up_to(20), r / 3});
    const int pixel = 8 * (1 + r / 3);
    maps.push_back(drawn_map(static_cast<size_t>(width * pixel + 4 * runs.back().steps)));
    rows.push_back({nullptr, pixel, runs.back().steps});
    steps += filled(runs.back().steps, kernels);
  }
  for (size_t r = 0; r < rows.size(); r++) rows[r].at = maps[r].data();
  // (steps, slots, 4), and as it is packed.
  std::vector<int8_t> weights = drawn_weights(static_cast<size_t>(steps * slots * 4), kernels.most_weight);
  int end = 0;
  for (const Run& run : rows) {
    const int begin = end + run.steps;
    end += filled(run.steps, kernels);
    std::fill(weights.begin() + begin * slots * 4, weights.begin() + end * slots * 4, int8_t{0});
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
  if (kernels.most_weight < 127) order_steps(op, runs, static_cast<size_t>(kernels.lanes), static_cast<size_t>(kernels.most_vectors));
  const Plain plain(slots, width);
  kernels.dense_u8({rows.data(), static_cast<int>(rows.size()), width, vectors, op.weights.data(), op.quads.data(), plain.tail});
  for (int x = 0; x < width; x++)
    for (int slot = 0; slot < slots; slot++) {
      int sum = 0, step = 0;
      for (const Run& run : rows) {
        for (int k = 0; k < 4 * run.steps; k++)
          sum += (run.at[x * run.pixel + k] - kernels.dense_centre) * weights[static_cast<size_t>(((step + k / 4) * slots + slot) * 4 + k % 4)];
        step += filled(run.steps, kernels);
      }
      if (!is(plain.result.floats()[x * slots + slot], sum, x, slot)) return false;
    }
  return true;
}

static bool depthwise_row_is_right(const Kernels& kernels) {
  const int width = 1 + up_to(20), dilation = 1 << up_to(2), channels = 32 * (1 + up_to(3));
  const int group = kernels.group(channels), row = (width + 2 * dilation) * channels;
  const std::vector<uint8_t> map = drawn_map(static_cast<size_t>(row * (2 * dilation + 1)));
  const uint8_t* const at = map.data() + dilation * (row + channels);
  const std::vector<int8_t> weights = drawn_weights(static_cast<size_t>(9 * channels), kernels.most_weight);  // (slots, 9)
  Block packed(static_cast<size_t>(12 * channels));
  for (int slot = 0; slot < channels; slot++) {
    const int in = slot % group, lanes = group / 4;
    for (int tap = 0; tap < 9; tap++)
      packed.data()[12 * (slot - in) + (tap % 3 * 4 + in / lanes) * group + 4 * (in % lanes) + tap / 3] =
          static_cast<uint8_t>(weights[static_cast<size_t>(9 * slot + tap)]);
  }
  // Of each slot, the element that it is made from: its own, or one of those that are left, in their order, or none.
  const bool places = up_to(1);
  const int slots = places ? 32 * (1 + up_to(3)) : channels, lanes = kernels.group(slots) / 4;
  std::vector<int> from(static_cast<size_t>(slots), -1), first, lane(from.size());
  for (int element = 0; !places && element < channels; element++) {
    const int in = element % group;
    from[static_cast<size_t>(element - in + in / 4 % 4 * (group / 4) + in / 16 * 4 + in % 4)] = element;
  }
  for (int slot = 0, element = 0; places && slot < slots && element < channels; slot++)
    if (up_to(1)) from[static_cast<size_t>(slot)] = element++;
  const Plain plain(slots, width);
  for (int slot = 0; slot < slots; slot++) {
    const int element = from[static_cast<size_t>(slot)];
    if (slot % lanes == 0) first.push_back(-1);
    if (element < 0) plain.one.floats()[slot] = 0;
    else if (first.back() < 0) first.back() = element;
    lane[static_cast<size_t>(slot)] = element < 0 ? 0 : element - first.back();
  }
  for (int& it : first) it = std::max(it, 0);
  const Block sums(static_cast<size_t>(4 * width * channels));
  kernels.depthwise_u8({at, row, channels, dilation, width, channels, slots, packed.data(), plain.tail,
                        places ? first.data() : nullptr, lane.data(), sums.floats()});
  for (int x = 0; x < width; x++)
    for (int slot = 0; slot < slots; slot++) {
      const int element = from[static_cast<size_t>(slot)], in = element % group;
      const int weighed = element - in + in / 4 % 4 * (group / 4) + in / 16 * 4 + in % 4;
      int sum = 0;
      for (int tap = 0; element >= 0 && tap < 9; tap++)
        sum += (at[(tap / 3 - 1) * dilation * row + (x + (tap % 3 - 1) * dilation) * channels + element] - kernels.depthwise_centre) *
               weights[static_cast<size_t>(9 * weighed + tap)];
      if (!is(plain.result.floats()[x * slots + slot], sum, x, slot)) return false;
    }
  return true;
}

// Bytes of any of a pixel's, or none, at every place of another pixel; what lies behind the row stays as it was.
static bool moved_row_is_right(const Kernels& kernels) {
  const int width = 1 + up_to(20), read = 8 * (1 + up_to(20)), written = 8 * (1 + up_to(20));
  const std::vector<uint8_t> map = drawn_map(static_cast<size_t>(width * read));
  std::vector<uint8_t> result(static_cast<size_t>(width * written) + 8, 7);
  std::vector<int> from(static_cast<size_t>(written));
  std::vector<Chunk> chunks;
  std::vector<Part> parts;
  const int most = up_to(read - 1);  // few bytes: few parts
  for (int& it : from) it = up_to(4) ? up_to(most) : -1;
  for (int to = 0; to < written; to += 16) {
    chunks.push_back({to, 0, to + 16 > written});
    for (int begin = 0; begin <= most; begin += 16) {
      Part part{begin, {}};
      bool any = false;
      for (int i = 0; i < 16; i++) {
        const int at = to + i < written ? from[static_cast<size_t>(to + i)] : -1;
        part.index[i] = static_cast<uint8_t>(at / 16 * 16 == begin && at >= 0 ? at - begin : 0x80);
        any = any || part.index[i] < 0x80;
      }
      if (any) parts.push_back(part), chunks.back().parts++;
    }
  }
  kernels.move({map.data(), read, result.data(), written, width, static_cast<int>(chunks.size()), chunks.data(), parts.data()});
  for (int i = 0; i < width * written + 8; i++) {
    const int x = i / written, at = x < width ? from[static_cast<size_t>(i % written)] : -1;
    const int wanted = x >= width ? 7 : at < 0 ? 0 : map[static_cast<size_t>(x * read + at)];
    if (!is(result[static_cast<size_t>(i)], wanted, x, i % written)) return false;
  }
  return true;
}

// A whole number of at most eight bits as bf16: the upper half of the f32.
static uint16_t bf16(int number) {
  const auto f32 = static_cast<float>(number);
  uint32_t bits;
  std::memcpy(&bits, &f32, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}

static bool bf16_row_is_right(const Kernels& kernels) {
  const int width = 1 + up_to(80), vectors = 1 + up_to(8), slots = vectors * kernels.lanes, steps = 1 + up_to(60), pixel = 4 + 2 * up_to(6);
  const auto drawn = [](int count) {
    std::vector<int> numbers(static_cast<size_t>(count));
    for (int& number : numbers) number = up_to(511) - 255;
    return numbers;
  };
  const std::vector<int> map = drawn(width * pixel + 2 * steps), weights = drawn(2 * steps * slots);  // (steps, slots, 2)
  Block stored(2 * map.size()), packed(static_cast<size_t>(4 * filled(steps, kernels) * slots));
  std::memset(stored.data() + stored.size(), 0xff, kPastEnd);  // no numbers
  for (size_t i = 0; i < map.size(); i++) reinterpret_cast<uint16_t*>(stored.data())[i] = bf16(map[i]);
  auto* to = reinterpret_cast<uint16_t*>(packed.data());
  for (int begin = 0, size = kernels.most_vectors; begin < vectors; begin += size) {
    while (size > vectors - begin) size /= 2;
    for (int step = 0; step < steps; step++)
      for (int i = 0; i < 2 * kernels.lanes * size; i++)
        *to++ = bf16(weights[static_cast<size_t>(2 * (step * slots + begin * kernels.lanes) + i)]);
    to += 2 * kernels.lanes * size * (filled(steps, kernels) - steps);
  }
  const Plain plain(slots, width);
  const Run run{stored.data(), 2 * pixel, steps};
  kernels.dense_bf16({&run, 1, width, vectors, packed.data(), nullptr, plain.tail});
  for (int x = 0; x < width; x++)
    for (int slot = 0; slot < slots; slot++) {
      int sum = 0;
      for (int k = 0; k < 2 * steps; k++)
        sum += map[static_cast<size_t>(x * pixel + k)] * weights[static_cast<size_t>(2 * (k / 2 * slots + slot) + k % 2)];
      if (!is(plain.result.floats()[x * slots + slot], sum, x, slot)) return false;
    }
  return true;
}

static bool are_right(const Kernels& kernels, int cases) {
  const uint64_t before = kernels.begin();
  bool right = true;
  for (int i = 0; i < cases && right; i++)
    right = moved_row_is_right(kernels) &&
            (kernels.dense_bf16 ? bf16_row_is_right(kernels) : dense_row_is_right(kernels) && depthwise_row_is_right(kernels));
  kernels.end(before);
  if (!right) std::printf("%s is wrong\n", kernels.name);
  return right;
}

int main(int count, char** arguments) {
  const int cases = std::atoi(arguments[1]);
  if (count > 2) return !are_right(kernels_for(arguments[2], count > 3 ? Element::kBf16 : Element::kU8), cases);
  for (const char* name : {"amx", "avx512", "avx_vnni", "avx2", "i8mm", "dotprod", "generic"}) try {
      if (!are_right(kernels_for(name, Element::kU8), cases)) return 1;
    } catch (const Unavailable&) {
    }
}
