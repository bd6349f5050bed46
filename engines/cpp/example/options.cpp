#include "options.hpp"

#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include <cgnet/segmenter.hpp>

const char* const usage =
    "usage: cgnet_video --engine FILE --input FILE [--output FILE] [--masks FILE]\n"
    "                   [--overlay A] [--legend 0|1] [--codec CODE] [--strict] [--limit N] [--contexts N]\n"
    "                   [--threads N]\n"
    "\n"
    "Label a video with a file of cgnet-export.\n"
    "\n"
    "  --engine FILE   .onnx for our CPU engine or OpenVINO, .plan or .engine for TensorRT; openvino:FILE chooses\n"
    "  --input FILE    any video that OpenCV reads\n"
    "  --output FILE   .avi, .mp4 or .mkv: the overlay\n"
    "  --masks FILE    the raw labels: u8, (frames, height, width), without a header\n"
    "  --overlay A     opacity of the labels, 0 to 1 (default 0.5)\n"
    "  --legend 0|1    names and colours of the classes below the overlay (default 1)\n"
    "  --codec CODE    four letters, such as FFV1, which is lossless; default: MJPG in .avi, else mp4v\n"
    "  --strict        exit with 1 where frames of the input are, by their time stamps, missing\n"
    "  --limit N       stop after N frames\n"
    "  --contexts N    inferences at a time (default: 2 for a .onnx, 1 for a plan)\n"
    "  --threads N     CPU threads, all contexts together\n";

namespace {

template <typename Number>
Number number(std::string_view flag, std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most))
    throw cgnet::UsageError(std::string(flag) + " " + std::string(text) + ": must be between " +
                            std::to_string(least) + " and " + std::to_string(most));
  return value;
}

/// BACKEND:FILE or FILE.
std::pair<std::string, std::string> reference(const std::string& text) {
  for (const std::string backend : {"openvino", "native", "native-bf16"})
    if (text.rfind(backend + ":", 0) == 0) return {backend, text.substr(backend.size() + 1)};
  return {"", text};
}

}  // namespace

Settings parse(int argc, const char* const* argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--strict") {
      settings.strict = true;
      continue;
    }
    if (++i == argc) throw cgnet::UsageError(std::string(flag) + " needs a value; see cgnet_video --help");
    const char* const value = argv[i];
    if (flag == "--engine")
      std::tie(settings.backend, settings.engine) = reference(value);
    else if (flag == "--input")
      settings.input = value;
    else if (flag == "--output")
      settings.output = value;
    else if (flag == "--masks")
      settings.masks = value;
    else if (flag == "--codec")
      settings.codec = value;
    else if (flag == "--overlay")
      settings.alpha = number(flag, value, 0.0, 1.0);
    else if (flag == "--legend")
      settings.legend = number(flag, value, 0, 1) == 1;
    else if (flag == "--limit")
      settings.limit = number(flag, value, 1L, 1'000'000'000L);
    else if (flag == "--contexts")
      settings.contexts = number(flag, value, 1, 64);
    else if (flag == "--threads")
      settings.threads = number(flag, value, 1, 1024);
    else
      throw cgnet::UsageError(std::string(flag) + " is not an option; see cgnet_video --help");
  }
  if (settings.engine.empty() || settings.input.empty() || (settings.output.empty() && settings.masks.empty()))
    throw cgnet::UsageError("wanted --engine, --input, and --output or --masks; see cgnet_video --help");
  if (!settings.codec.empty() && settings.codec.size() != 4)
    throw cgnet::UsageError("--codec " + settings.codec + ": wanted four letters, such as FFV1");
  return settings;
}
