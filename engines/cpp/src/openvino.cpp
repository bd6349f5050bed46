// An ONNX file in OpenVINO on the CPU, with the settings of engines/openvino.py: tuned for latency, and computing in
// f32 even where the CPU would prefer bf16.
#include <algorithm>
#include <exception>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include <openvino/openvino.hpp>

#include "backend.hpp"
#include "pixels.hpp"

namespace cgnet {
namespace {

/// OpenVINO's messages begin with lines that name its source files; the last line gives the reason.
std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return one_line("");
  const std::size_t start = text.find_last_of("\r\n", end);
  return one_line(text.substr(start == std::string::npos ? 0 : start + 1));
}

/// The only Core of this process, for the reason given in engines/openvino.py: destroying one unmaps the stack that
/// a thread's signal handlers run on.
ov::Core& shared_core() {
  static ov::Core core;
  return core;
}

class OpenVinoContext final : public Context {
 public:
  OpenVinoContext(ov::InferRequest request, Io io, InputSpec spec, std::size_t classes)
      : request_(std::move(request)), io_(io), spec_(spec), classes_(classes) {}

  void run(const Batch& batch, std::uint8_t* labels) override {
    const auto n = static_cast<std::size_t>(batch.count);
    const auto h = static_cast<std::size_t>(batch.height);
    const auto w = static_cast<std::size_t>(batch.width);
    try {
      if (io_ == Io::frames) {
        run_on(ov::Tensor(ov::element::u8, {n, h, w, 3}, bytes_of(batch)));
        const ov::Tensor output = output_of(ov::element::u8, {n, h, w});
        std::copy_n(output.data<std::uint8_t>(), batch.pixels(), labels);
      } else {
        planes_.resize(3 * batch.pixels());
        to_tensor(batch, spec_, planes_.data());
        run_on(ov::Tensor(ov::element::f32, {n, 3, h, w}, planes_.data()));
        const ov::Tensor output = output_of(ov::element::f32, {n, classes_, h, w});
        labels_of(output.data<float>(), batch, classes_, labels);
      }
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // OpenVINO's own, and those of the libraries under it
      throw Error("OpenVINO failed: " + last_line(error.what()));
    }
  }

 private:
  void run_on(const ov::Tensor& input) {
    request_.set_input_tensor(input);  // it keeps only the address, and the next call sets another
    request_.infer();
  }

  /// The frames without gaps between rows; a single frame without gaps is read in place.
  std::uint8_t* bytes_of(const Batch& batch) {
    const Frame& frame = batch.frames[0];
    if (batch.count == 1 && (frame.stride == 0 || frame.stride == 3 * static_cast<std::size_t>(frame.width)))
      return const_cast<std::uint8_t*>(frame.pixels);  // a tensor has no const; an input is only read
    packed_.resize(3 * batch.pixels());
    pack(batch, packed_.data());
    return packed_.data();
  }

  /// The request's output, if it is what a CGNet returns for this input: a file could hold any network.
  ov::Tensor output_of(const ov::element::Type& type, const ov::Shape& shape) {
    ov::Tensor output = request_.get_output_tensor();
    if (output.get_element_type() != type || output.get_shape() != shape) {
      std::ostringstream text;
      text << "the network returned " << output.get_element_type() << output.get_shape() << ", wanted " << type << shape
           << "; export it again with cgnet-export";
      throw ArtifactError(text.str());
    }
    return output;
  }

  ov::InferRequest request_;
  Io io_;
  InputSpec spec_;
  std::size_t classes_;
  std::vector<std::uint8_t> packed_;
  std::vector<float> planes_;
};

class OpenVinoEngine final : public Engine {
 public:
  OpenVinoEngine(const File& file, const Shape& shape, const Options& options) : artifact_(file.artifact) {
    const std::string path = artifact_.path.string();
    ov::AnyMap settings{ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                        ov::hint::inference_precision(ov::element::f32),
                        ov::hint::enable_cpu_pinning(false)};  // two engines would share the first cores
    if (options.threads > 0) settings.insert(ov::inference_num_threads(options.threads));
    if (options.contexts > 1) settings.insert(ov::num_streams(options.contexts));
    try {
      const std::shared_ptr<ov::Model> model = shared_core().read_model(file.content, ov::Tensor());
      if (model->inputs().size() != 1 || model->outputs().size() != 1)
        throw ArtifactError(path + " is not a network of one input and one output");
      const auto side = [](int value) { return value == 0 ? ov::Dimension::dynamic() : ov::Dimension(value); };
      const ov::Dimension n = side(shape.batch);
      const ov::Dimension h = side(shape.height);
      const ov::Dimension w = side(shape.width);
      model->reshape(artifact_.io == Io::frames ? ov::PartialShape{n, h, w, 3} : ov::PartialShape{n, 3, h, w});
      compiled_ = shared_core().compile_model(model, "CPU", settings);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw ArtifactError("OpenVINO can't run " + path + ": " + last_line(error.what()));
    }
    runs_in_ = compiled_.get_property(ov::hint::inference_precision).to_string();
    if (runs_in_ != "f32") throw EngineUnavailable("OpenVINO runs " + runs_in_ + " on this CPU, which has no f32");
  }

  std::unique_ptr<Context> new_context() override {
    return std::make_unique<OpenVinoContext>(compiled_.create_infer_request(), artifact_.io, artifact_.input,
                                             artifact_.classes.size());
  }

  std::string backend() const override { return "openvino"; }
  std::string provider() const override { return "CPU " + runs_in_; }

 private:
  Artifact artifact_;
  ov::CompiledModel compiled_;
  std::string runs_in_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const File& file, const Shape& shape, const Options& options) {
  try {
    return std::make_unique<OpenVinoEngine>(file, shape, options);
  } catch (const ov::Exception& error) {  // such as a CPU plugin that can't be loaded
    throw EngineUnavailable("OpenVINO can't start: " + last_line(error.what()));
  }
}

}  // namespace cgnet
