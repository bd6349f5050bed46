// A file of `cgnet-export --target native` in this project's own CPU engine, engines/native, by its C functions.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <cgnet_native.h>

#include "backend.hpp"
#include "pixels.hpp"

namespace cgnet {
namespace {

struct Close {
  void operator()(cgnet_native* net) const { cgnet_native_close(net); }
};
using Network = std::unique_ptr<cgnet_native, Close>;

[[noreturn]] void fail(cgnet_native_status status, const std::string& what) {
  const std::string text = what + one_line(cgnet_native_error());
  if (status == CGNET_NATIVE_BAD_INPUT) throw ArtifactError(text);
  if (status == CGNET_NATIVE_UNAVAILABLE) throw EngineUnavailable(text);
  throw Error(text);
}

class NativeContext final : public Context {
 public:
  explicit NativeContext(Network net) : net_(std::move(net)) {}

  void run(const Batch& batch, std::uint8_t* labels) override {
    const Frame& first = batch.frames[0];
    const std::uint8_t* frames = first.pixels;
    if (batch.count > 1 || (first.stride != 0 && first.stride != 3 * static_cast<std::size_t>(first.width))) {
      packed_.resize(3 * batch.pixels());
      pack(batch, packed_.data());
      frames = packed_.data();
    }
    const auto status = cgnet_native_run(net_.get(), frames, batch.count, batch.height, batch.width, labels);
    if (status == CGNET_NATIVE_BAD_INPUT) throw FrameError(one_line(cgnet_native_error()));
    if (status != CGNET_NATIVE_OK) fail(status, "the CPU engine failed: ");
  }

 private:
  Network net_;
  std::vector<std::uint8_t> packed_;
};

class NativeEngine final : public Engine {
 public:
  NativeEngine(const File& file, const Options& options)
      : path_(file.artifact.path.string()), content_(file.content), threads_(threads_of(options)),
        arithmetic_(options.backend == "native-bf16" ? "bf16" : "f32"), first_(open()) {}

  std::unique_ptr<Context> new_context() override {
    return std::make_unique<NativeContext>(first_ ? std::move(first_) : open());
  }

  std::string backend() const override { return "native"; }
  std::string provider() const override { return provider_; }

 private:
  /// Of one context: Options::threads are all contexts' together, and 0 stands for the cores.
  static int threads_of(const Options& options) {
    const int all = options.threads > 0 ? options.threads : cgnet_native_cores();
    return std::clamp(all / options.contexts, 1, 64);
  }

  Network open() {
    cgnet_native* net = nullptr;
    const auto status = cgnet_native_load(content_.data(), content_.size(), threads_, "", arithmetic_, &net);
    if (status != CGNET_NATIVE_OK) fail(status, "native can't run " + path_ + ": ");
    provider_ = std::string("CPU ") + cgnet_native_arithmetic(net) + " " + cgnet_native_instructions(net);
    return Network(net);
  }

  std::string path_;
  std::string content_;
  int threads_;
  const char* arithmetic_;
  std::string provider_;
  Network first_;  // until a context takes it
};

}  // namespace

std::unique_ptr<Engine> open_native(const File& file, const Options& options) {
  return std::make_unique<NativeEngine>(file, options);
}

}  // namespace cgnet
