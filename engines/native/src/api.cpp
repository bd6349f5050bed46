// The C functions of cgnet_native.h: exceptions end here.
#include "cgnet_native.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <system_error>

#include "cores.hpp"
#include "engine.hpp"

struct cgnet_native {
  cgnet::native::Engine engine;
};

namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 26, kMostOfError = 400;
thread_local std::string last_error;

// On one line, whatever names the file holds: control characters become question marks.
void remember(const char* what) {
  last_error.assign(what, strnlen(what, kMostOfError));
  for (char& c : last_error)
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';
}

bool is_bf16(const char* arithmetic) {
  const std::string name = arithmetic ? arithmetic : "";
  if (name != "" && name != "f32" && name != "bf16")
    throw cgnet::native::Error("arithmetic \"" + name.substr(0, 40) + "\": wanted f32 or bf16");
  return name == "bf16";
}

template <class Body>
cgnet_native_status guarded(Body body) {
  try {
    body();
    return CGNET_NATIVE_OK;
  } catch (const cgnet::native::Unavailable& error) {
    remember(error.what());
    return CGNET_NATIVE_UNAVAILABLE;
  } catch (const cgnet::native::Error& error) {
    remember(error.what());
    return CGNET_NATIVE_BAD_INPUT;
  } catch (const std::exception& error) {
    remember(error.what());
    return CGNET_NATIVE_FAILED;
  }
}

}  // namespace

const char* cgnet_native_version(void) { return CGNET_NATIVE_VERSION; }
const char* cgnet_native_error(void) { return last_error.c_str(); }

cgnet_native_status cgnet_native_open(const char* path, int threads, const char* instructions, const char* arithmetic,
                                      cgnet_native** net) {
  return guarded([&] {
    *net = nullptr;
    const bool bf16 = is_bf16(arithmetic);
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw cgnet::native::Error(std::string(path) + " can't be opened");
    std::vector<uint8_t> file;
    std::error_code no_size;  // as of a pipe
    const auto size = std::filesystem::file_size(path, no_size);
    file.reserve(no_size ? 0 : std::min<size_t>(size, kMaxFileBytes) + 1);
    std::vector<char> piece(1 << 16);
    while (stream && file.size() <= kMaxFileBytes) {
      stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      file.insert(file.end(), piece.begin(), piece.begin() + stream.gcount());
    }
    *net = new cgnet_native{{file.data(), file.size(), threads, instructions, bf16}};
  });
}

cgnet_native_status cgnet_native_load(const void* file, size_t bytes, int threads, const char* instructions, const char* arithmetic,
                                      cgnet_native** net) {
  return guarded([&] {
    *net = nullptr;
    *net = new cgnet_native{{static_cast<const uint8_t*>(file), bytes, threads, instructions, is_bf16(arithmetic)}};
  });
}

cgnet_native_status cgnet_native_run(cgnet_native* net, const uint8_t* frames, int count, int height, int width, uint8_t* labels) {
  return guarded([&] { net->engine.run(frames, count, height, width, labels); });
}

cgnet_native_status cgnet_native_scores(const cgnet_native* net, float* scores) {
  return guarded([&] { net->engine.scores(scores); });
}

int cgnet_native_classes(const cgnet_native* net) { return net->engine.network().classes; }
const char* cgnet_native_arithmetic(const cgnet_native* net) {
  return net->engine.network().int8 ? "int8" : net->engine.kernels().dense_bf16 ? "bf16" : "f32";
}
const char* cgnet_native_instructions(const cgnet_native* net) { return net->engine.kernels().name; }
int cgnet_native_threads(const cgnet_native* net) { return net->engine.threads(); }
size_t cgnet_native_memory(const cgnet_native* net) { return net->engine.memory_bytes(); }
void cgnet_native_pin(cgnet_native* net, int on) { net->engine.pin(on != 0); }
void cgnet_native_profile(cgnet_native* net, int on) { net->engine.profile(on != 0); }

int cgnet_native_operator(const cgnet_native* net, int i, const char** name, const char** kind, int64_t* macs, int64_t* ns) {
  const std::vector<cgnet::native::Op>& ops = net->engine.network().ops;
  const std::vector<int64_t> times = net->engine.times_ns();
  if (i < 0 || static_cast<size_t>(i) >= times.size()) return 0;
  static const char* const kKinds[] = {"image", "dense", "depthwise", "pool", "move", "gates", "labels"};
  const auto at = static_cast<size_t>(i);
  const bool is_op = at < ops.size();
  *kind = kKinds[is_op ? static_cast<size_t>(ops[at].kind) : at - ops.size() + 5];
  *name = is_op ? ops[at].name.c_str() : *kind;
  *macs = is_op ? ops[at].macs : 0;
  *ns = times[at];
  return 1;
}

int cgnet_native_cores(void) { return cgnet::native::cores(); }
const char* cgnet_native_best_instructions(const char* arithmetic) {
  const char* best = nullptr;
  guarded([&] {
    using cgnet::native::Element;
    best = cgnet::native::kernels_for("", is_bf16(arithmetic) ? Element::kBf16 : Element::kU8).name;
  });
  return best;
}
void cgnet_native_close(cgnet_native* net) { delete net; }
