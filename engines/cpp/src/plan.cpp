#include "plan.hpp"

#include <vector>

namespace cgnet {
namespace {

constexpr std::size_t header_bytes = 28;
constexpr std::size_t version_at = 24;
const char* const tensorrt = "tensorrt";
const char* const rtx = "tensorrt_rtx";

/// `10.13.3.9` -> {10, 13, 3, 9}; what follows the digits of a part, such as rc1, is ignored.
std::vector<int> version_of(const std::string& text) {
  std::vector<int> numbers;
  std::size_t at = 0;
  while (at < text.size()) {
    int number = 0;
    std::size_t digits = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && digits < 9; ++at, ++digits)
      number = 10 * number + (text[at] - '0');
    if (digits == 0) break;
    numbers.push_back(number);
    const std::size_t dot = text.find('.', at);
    if (dot == std::string::npos) break;
    at = dot + 1;
  }
  return numbers;
}

std::string dotted(const std::vector<int>& version) {
  std::string text;
  for (const int number : version) text += (text.empty() ? "" : ".") + std::to_string(number);
  return text;
}

/// The version in the plan's header, four numbers.
std::vector<int> version_in(const std::string& plan) {
  std::vector<int> version;
  for (std::size_t i = version_at; i < header_bytes; ++i) version.push_back(static_cast<unsigned char>(plan[i]));
  return version;
}

/// What built the plan according to its sidecar: a key of `made_with`, or an empty string.
std::string builder_of(const Artifact& plan) {
  for (const char* builder : {tensorrt, rtx})
    if (plan.made_with.count(builder) != 0) return builder;
  return "";
}

}  // namespace

std::string rebuild(const Artifact& plan) {
  const std::string flag = plan.precision == "f32" ? "--fp32" : plan.precision == "f16" ? "--fp16" : "--int8";
  std::string command = "cgnet-export --ckpt CHECKPOINT " + flag;
  if (plan.shape.height != 0 && plan.shape.width != 0)
    command += " --res " + std::to_string(plan.shape.height) + "x" + std::to_string(plan.shape.width);
  if (plan.shape.batch > 1) command += " --batch " + std::to_string(plan.shape.batch);
  const std::string builder = builder_of(plan) == rtx ? "rtx" : "tensorrt";
  return command + " --builder " + builder + " --engine " + plan.path.string();
}

void check_plan(const File& file) {
  const Artifact& plan = file.artifact;
  const std::string path = plan.path.string();
  const std::string builder = builder_of(plan);
  if (builder.empty() || plan.made_with.count("architecture") == 0)
    throw ArtifactError("the sidecar of " + path + " does not say what built it; export it again with cgnet-export");
  const std::string tag = file.content.substr(0, 4);
  if (file.content.size() < header_bytes || (tag != "ftrt" && tag != "vtrt"))
    throw ArtifactError(path + " is not a TensorRT plan; make it again with: " + rebuild(plan));
  const std::string wrote = tag == "ftrt" ? tensorrt : rtx;
  const std::vector<int> version = version_in(file.content);
  const std::string& recorded = plan.made_with.at(builder);
  std::vector<int> begins = version;
  begins.resize(version_of(recorded).size());
  if (wrote != builder || begins != version_of(recorded))
    throw ArtifactError(path + " was written by " + wrote + " " + dotted(version) + ", but its sidecar says " +
                        builder + " " + one_line(recorded) + "; make it again with: " + rebuild(plan));
}

void check_fits(const File& file, const std::array<int, 4>& installed, const std::string& gpu,
                const std::string& architecture) {
  const Artifact& plan = file.artifact;
  const std::string path = plan.path.string();
  if (builder_of(plan) != tensorrt)
    throw EngineUnavailable(path + " was built by TensorRT for RTX, which this library does not run; build it with: " +
                            "cgnet-export --builder tensorrt, or run it from Python");
  // The header's, not the sidecar's: Python's TensorRT 10.3 to 10.7 gives three numbers of the four.
  const std::vector<int> built_by = version_in(file.content), here(installed.begin(), installed.end());
  if (built_by != here)
    throw EngineUnavailable(path + " was built by tensorrt " + dotted(built_by) + ", but " + dotted(here) +
                            " is installed, which can't read it; build it here again: " + rebuild(plan));
  const std::string& built_for = plan.made_with.at("architecture");
  if (built_for != architecture)
    throw EngineUnavailable(path + " was built for " + one_line(built_for) + ", but this GPU (" + gpu + ") is " +
                            architecture + "; build it here again: " + rebuild(plan));
}

}  // namespace cgnet
