#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "cores.hpp"

namespace cgnet::native {
namespace {

constexpr int kMinSide = 32, kMaxSide = 8192, kMaxThreads = 64;
constexpr int64_t kMaxPixels = int64_t{1} << 25;

int thread_count(int wanted) {
  if (wanted < 0 || wanted > kMaxThreads) throw Error(std::to_string(wanted) + " threads: wanted 1 to 64, or 0 for one a core");
  return wanted ? wanted : std::min(cores(), kMaxThreads);
}

}  // namespace

Engine::Engine(const uint8_t* file, size_t size, int threads, const char* instructions, bool bf16)
    : net_(recognise(read_onnx(file, size))), kernels_(&kernels_for(instructions, net_.int8 ? Element::kU8 : bf16 ? Element::kBf16 : Element::kF32)),
      threads_(thread_count(threads)), packed_(pack(net_, *kernels_)) {
  if (bf16 && net_.int8) throw Error("an int8 file has nothing that could be computed in bf16");
  for (Op& op : net_.ops) {
    op.macs = static_cast<int64_t>(op.weight.size());
    if (!averages_inputs(op)) std::vector<float>().swap(op.weight);  // as packed they are kept
  }
  for (int i = 0; i < 3; i++) {
    frame_mean_[net_.order[i]] = net_.mean[i];
    frame_scale_[net_.order[i]] = net_.scale[i];
    frame_zero_[net_.order[i]] = static_cast<uint8_t>(std::clamp(std::lrint(net_.mean[i]), 0L, 255L));
  }
}

void Engine::bind(int height, int width) {
  if (pool_ && plan_.height == height && plan_.width == width) return;
  if (height < kMinSide || width < kMinSide || height > kMaxSide || width > kMaxSide || int64_t{height} * width > kMaxPixels)
    throw Error("frames of " + std::to_string(height) + "x" + std::to_string(width) + ": each side must be 32 to 8192 pixels, " +
                "and their product at most 33554432");
  pool_.reset();
  plan_ = make_plan(net_, packed_, *kernels_, height, width, threads_);
  memory_ = Block();
  memory_ = Block(plan_.shared_bytes);
  for (const Plane& plane : plan_.bordered)  // of f32, fresh memory is zero
    for (int y = 0; y < plane.rows; y++) draw_border(plane, memory_.data() + plane.offset + y * plane.row, y);
  own_.clear();
  own_.resize(static_cast<size_t>(threads_));
  for (Thread& thread : own_) {
    thread.memory = Block(plan_.own_bytes);
    thread.times_ns.resize(net_.ops.size() + 2);
  }
  place_columns();
  std::vector<int> items;
  for (const Pass& pass : plan_.passes) items.push_back((pass.rows + pass.rows_of_item - 1) / pass.rows_of_item);
  pool_ = std::make_unique<Threads>(
      threads_, items, [this](int pass, int item, int thread) { work(pass, item, thread); }, *kernels_, pins_);
}

// What a map has beyond row y's ends, and above the first row and below the last.
void Engine::draw_border(const Plane& plane, uint8_t* row, int y) const {
  const auto bytes = static_cast<size_t>(plane.row), side = static_cast<size_t>(plane.pad * plane.pixel);
  uint8_t* const begin = row - side;
  std::memset(begin, plane.zero, side);
  std::memset(begin + bytes - side, plane.zero, side);
  if (y == 0) std::memset(begin - plane.pad * plane.row, plane.zero, static_cast<size_t>(plane.pad) * bytes);
  if (y == plane.rows - 1) std::memset(begin + plane.row, plane.zero, static_cast<size_t>(plane.pad) * bytes);
}

void Engine::run(const uint8_t* frames, int count, int height, int width, uint8_t* labels) {
  bind(height, width);
  const size_t pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  for (int i = 0; i < count; i++) {
    frame_ = frames + static_cast<size_t>(i) * pixels * 3;
    labels_ = labels + static_cast<size_t>(i) * pixels;
    for (Thread& thread : own_) thread.image_row = thread.enlarged[0] = thread.enlarged[1] = -1;
    pool_->run();
  }
}

size_t Engine::memory_bytes() const { return plan_.shared_bytes + static_cast<size_t>(threads_) * plan_.own_bytes; }

void Engine::work(int pass_index, int item, int thread_index) {
  const Pass& pass = plan_.passes[static_cast<size_t>(pass_index)];
  Thread& thread = own_[static_cast<size_t>(thread_index)];
  const int begin = item * pass.rows_of_item, end = std::min(begin + pass.rows_of_item, pass.rows);
  for (int y = begin; y < end; y++)
    for (const Task& task : pass.tasks) {
      const bool rows = task.kind == Task::kRun || task.kind == Task::kMeasure;
      if (!rows && y > begin) return;
      if (!profiles_) {
        run_task(task, y, rows ? y + 1 : end, thread);
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      run_task(task, y, rows ? y + 1 : end, thread);
      const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
      thread.times_ns[rows ? static_cast<size_t>(task.index) : net_.ops.size() + (task.kind == Task::kLabels)] += ns;
    }
}

void Engine::run_task(const Task& task, int begin, int end, Thread& thread) {
  const auto index = static_cast<size_t>(task.index);
  if (task.kind == Task::kGate) return gate(index);
  if (task.kind == Task::kLabels) return label_rows(begin, end, thread);
  const Op& op = net_.ops[index];
  if (op.kind == Op::kPool) pool_row(op, index, begin, thread);
  else run_row(op, index, begin, thread, task.kind == Task::kMeasure);
}

void Engine::pin(bool on) {
  if (on != pins_) pool_.reset();
  pins_ = on;
}

void Engine::profile(bool on) {
  profiles_ = on;
  if (on)
    for (Thread& thread : own_) thread.times_ns.assign(net_.ops.size() + 2, 0);
}

std::vector<int64_t> Engine::times_ns() const {
  std::vector<int64_t> sum(net_.ops.size() + 2);
  for (const Thread& thread : own_)
    for (size_t i = 0; i < thread.times_ns.size(); i++) sum[i] += thread.times_ns[i];
  return sum;
}

Store Engine::store_of(size_t index, size_t out, const Thread& thread, int y) const {
  const Plane& to = plan_.planes[index][out];
  if (to.shares) draw_border(to, at(to, thread, y), y);
  const PackedOut& it = packed_[index].outs[out];
  const auto array = [](const Block& block) { return block.size() ? block.floats() : nullptr; };
  return {at(to, thread, y), to.pixel, array(it.scale), array(it.shift), array(it.slope), it.inverse, it.as};
}

void Engine::run_row(const Op& op, size_t index, int y, Thread& thread, bool measure) {
  const PackedOp& packed = packed_[index];
  const int width = plan_.widths[op.level];
  if (op.kind == Op::kMove) {
    const Plane& from = plane(op.inputs[0]);
    const Store to = store_of(index, 0, thread, y);
    const auto chunks = static_cast<int>(packed.chunks.size());
    return kernels_->move({at(from, thread, y), from.pixel, to.at, to.pixel, width, chunks, packed.chunks.data(), packed.parts.data()});
  }
  Tail tail{};
  tail.scale = packed.scale.floats(), tail.bias = packed.bias.floats();
  tail.slope = packed.slope.size() ? packed.slope.floats() : nullptr;
  if (measure) {
    tail.sums = reinterpret_cast<float*>(memory_.data() + plan_.sums[index]) + static_cast<size_t>(y) * plan_.sums_of_row[index];
    if (averages_inputs(op)) return sum_inputs(op, y, thread, tail.sums);
    std::memset(tail.sums, 0, 4 * static_cast<size_t>(packed.slots));
  } else {
    if (op.gate >= 0) {
      tail.scale = reinterpret_cast<const float*>(memory_.data() + plan_.gated[index]);
      tail.bias = tail.scale + packed.slots;
    }
    if (op.trunk >= 0) {
      const Plane& trunk = plan_.trunks[static_cast<size_t>(op.trunk)];
      tail.trunk_pixel = trunk.pixel;
      tail.trunk = at(trunk, thread, y) + op.trunk_channel * trunk_bytes(net_, *kernels_);
      tail.adds = op.adds, tail.keeps = op.keeps;
    }
    tail.outs = static_cast<int>(op.outs.size());
    for (size_t o = 0; o < op.outs.size(); o++) tail.out[o] = store_of(index, o, thread, y);
  }
  if (op.kind == Op::kDepthwise) {
    const Plane& from = plane(op.inputs[0]);
    const PackedOut& map = packed_[static_cast<size_t>(op.inputs[0].op)].outs[static_cast<size_t>(op.inputs[0].out)];
    Depthwise d{at(from, thread, y), from.row, from.pixel, op.dilation, width, static_cast<int>(map.order.size()), packed.slots,
                packed.weights.data(), tail, nullptr, nullptr, nullptr};
    if (!packed.lane.empty()) {
      d.first = packed.first.data(), d.lane = packed.lane.data();
      d.sums = reinterpret_cast<float*>(thread.memory.data() + plan_.filtered);
    }
    return net_.int8 ? kernels_->depthwise_u8(d) : kernels_->depthwise_f32(d);
  }
  Run runs[3 * kMostInputs];
  int count = 0;
  if (op.kind == Op::kImage) {
    image_rows(y, thread);
    for (size_t r = 0; r < 3; r++)
      runs[count++] = {thread.memory.data() + plan_.image + r * plan_.image_row, net_.int8 ? 6 : 24, net_.int8 ? 3 : 9};
  }
  for (const Source& source : op.inputs) {
    const Plane& from = plane(source);
    const PackedOut& stored = packed_[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)];
    const int steps = op.kernel * static_cast<int>(stored.order.size()) * bytes_of(stored.as) / 4, side = op.kernel / 2;
    for (int dy = -side; dy <= side; dy++)
      runs[count++] = {at(from, thread, y * op.stride + dy) - side * from.pixel, from.pixel * op.stride, steps};
  }
  const Dense d{runs, count, width, packed.vectors, packed.weights.data(),
                packed.quads.empty() ? nullptr : packed.quads.data(), tail};
  const Element element = reads(op, net_, *kernels_);
  (element == Element::kU8 ? kernels_->dense_u8 : element == Element::kBf16 ? kernels_->dense_bf16 : kernels_->dense_f32)(d);
}

// The three rows of the image under output row y, with a pixel of zeros on either side: u8 as in the frame, whose zero
// is the mean, or normalised f32.
void Engine::image_rows(int y, Thread& thread) {
  if (thread.image_row == y) return;
  thread.image_row = y;
  const auto width = static_cast<size_t>(plan_.width);
  for (int r = 0; r < 3; r++) {
    const int row = 2 * y - 1 + r;
    const bool inside = row >= 0 && row < plan_.height;
    const uint8_t* const from = frame_ + static_cast<size_t>(row) * width * 3;
    uint8_t* const to = thread.memory.data() + plan_.image + static_cast<size_t>(r) * plan_.image_row;
    if (!net_.int8) {
      auto* const f32 = reinterpret_cast<float*>(to);
      std::fill_n(f32, 3 * (width + 2), 0.0f);
      if (inside) kernels_->normalise(from, frame_mean_, frame_scale_, static_cast<int>(3 * width), f32 + 3);
      continue;
    }
    const auto fill = [&](size_t x) { std::memcpy(to + 3 * x, frame_zero_, 3); };
    fill(0), fill(width + 1);
    if (inside) std::memcpy(to + 3, from, 3 * width);
    else
      for (size_t x = 1; x <= width; x++) fill(x);
  }
}

void Engine::pool_row(const Op& op, size_t index, int y, Thread& thread) {
  float* const sums = reinterpret_cast<float*>(thread.memory.data() + plan_.column_sums);
  float* const pooled = reinterpret_cast<float*>(thread.memory.data() + plan_.pooled);
  const int width = plan_.widths[op.level];
  float factor[4] = {1.0f / 9, 1.0f / 9, 1.0f / 9, 0};
  if (op.inputs.empty()) {
    const int count = 3 * plan_.width;
    std::fill_n(sums, 3, 0.0f), std::fill_n(sums + 3 + count, 6, 0.0f);
    if (net_.int8) {
      const uint8_t* rows[3];
      for (int r = 0; r < 3; r++) {
        const int row = 2 * y - 1 + r;
        rows[r] = row < 0 || row >= plan_.height ? nullptr : frame_ + static_cast<size_t>(row) * static_cast<size_t>(count);
      }
      kernels_->column_sums_u8(rows, frame_mean_, count, sums + 3);
      for (int i = 0; i < 3; i++) factor[i] *= frame_scale_[i];
    } else {
      image_rows(y, thread);
      const float* rows[3];
      for (size_t r = 0; r < 3; r++) rows[r] = reinterpret_cast<const float*>(thread.memory.data() + plan_.image + r * plan_.image_row) + 3;
      kernels_->column_sums_f32(rows, count, sums + 3);
    }
    kernels_->pool(sums, 3, width, factor, pooled);
  } else {
    const Plane& from = plane(op.inputs[0]);
    const float* rows[3];
    for (int r = 0; r < 3; r++) rows[r] = reinterpret_cast<const float*>(at(from, thread, 2 * y - 1 + r) - from.pixel);
    kernels_->column_sums_f32(rows, 4 * (plan_.widths[op.level - 1] + 2), sums);
    kernels_->pool(sums, 4, width, factor, pooled);
  }
  for (size_t o = 0; o < op.outs.size(); o++) kernels_->store(pooled, 4 * width, store_of(index, o, thread, y));
}

}  // namespace cgnet::native
