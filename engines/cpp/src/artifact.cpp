#include "artifact.hpp"

#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "onnxmeta.hpp"
#include "outside.hpp"
#include "sha256.hpp"

namespace cgnet {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uintmax_t max_sidecar_bytes = 1U << 20U;
constexpr std::uintmax_t max_file_bytes = 1U << 29U;  // 512 MiB; a CGNet is 2 MiB
constexpr int schema = 1;
constexpr int max_side_px = 8192;
constexpr int max_batch = 1 << 16;
constexpr std::size_t max_classes = 255;  // labels are u8, and one value is left for "ignore"
const char* const again = "; export it again with cgnet-export";

/// A sidecar with unexpected content; the message names it.
struct Unfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string read_all(const fs::path& path, std::uintmax_t most, const char* wanted) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) throw ArtifactError(path.string() + " can't be read: " + error.message());
  if (size > most) throw ArtifactError(path.string() + " is larger than " + std::to_string(most) + " bytes: " + wanted);
  std::string content(static_cast<std::size_t>(size), '\0');
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(content.data(), static_cast<std::streamsize>(size)))
    throw ArtifactError(path.string() + " can't be read" + again);
  return content;
}

int integer(const Json& value, int least, int most, const char* what) {
  if (!value.is_number_integer()) throw Unfit(std::string(what) + " is not an integer");
  const auto number = value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()
                          ? std::numeric_limits<std::int64_t>::max()
                          : value.get<std::int64_t>();
  if (number < least || number > most)
    throw Unfit(std::string(what) + " is not " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<int>(number);
}

/// Three finite numbers.
std::array<float, 3> triple(const Json& value, const char* what) {
  if (!value.is_array() || value.size() != 3) throw Unfit(std::string(what) + " is not three numbers");
  std::array<float, 3> numbers{};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!value[i].is_number()) throw Unfit(std::string(what) + " is not three numbers");
    numbers[i] = static_cast<float>(value[i].get<double>());
    if (!std::isfinite(numbers[i])) throw Unfit(std::string(what) + " is not finite");
  }
  return numbers;
}

/// 1 to 64 characters, none of them a control character. The parser has checked that it is UTF-8.
std::string class_name(const Json& value) {
  const auto name = value.get<std::string>();
  std::size_t characters = 0;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) throw Unfit("a class name holds a control character");
    if ((byte & 0xc0U) != 0x80U) ++characters;
  }
  if (characters < 1 || characters > 64) throw Unfit("a class name is not 1 to 64 characters");
  return name;
}

std::vector<Class> classes_of(const Json& spec) {
  const Json& names = spec.at("class_names");
  const Json& palette = spec.at("palette");
  if (!names.is_array() || !palette.is_array()) throw Unfit("class_names or palette is not a list");
  if (names.empty() || names.size() > max_classes) throw Unfit("a CGNet here has 1 to 255 classes");
  if (palette.size() != names.size()) throw Unfit("the palette and the class names differ in length");
  std::vector<Class> classes;
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (!palette[k].is_array() || palette[k].size() != 3) throw Unfit("a palette colour is not three values");
    Class entry{class_name(names[k]), {}};
    for (std::size_t i = 0; i < 3; ++i)
      entry.rgb[i] = static_cast<std::uint8_t>(integer(palette[k][i], 0, 255, "a palette colour"));
    classes.push_back(std::move(entry));
  }
  return classes;
}

InputSpec input_of(const Json& input) {
  InputSpec spec;
  spec.mean = triple(input.at("mean"), "mean");
  spec.std = triple(input.at("std"), "std");
  for (const float value : spec.std)
    if (!(value > 0)) throw Unfit("std is not three positive numbers");
  const auto color = input.at("color").get<std::string>();
  if (color != "rgb" && color != "bgr") throw Unfit("color must be 'rgb' or 'bgr'");
  spec.channels = color == "rgb" ? std::array<std::size_t, 3>{2, 1, 0} : std::array<std::size_t, 3>{0, 1, 2};
  return spec;
}

Shape shape_of(const Json& sides) {
  if (!sides.is_array() || sides.size() != 3) throw Unfit("shape is not (N, H, W)");
  const auto side = [&](std::size_t i, int most) { return sides[i].is_null() ? 0 : integer(sides[i], 1, most, "shape"); };
  return {side(0, max_batch), side(1, max_side_px), side(2, max_side_px)};
}

std::string checked_sha256(const Json& value) {
  const auto sha256 = value.get<std::string>();
  if (sha256.size() != 64 || sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Unfit("sha256 is not 64 hexadecimal digits");
  return sha256;
}

Kind kind_of(const std::string& name) {
  if (name == "checkpoint") return Kind::checkpoint;
  if (name == "onnx") return Kind::onnx;
  if (name == "plan") return Kind::plan;
  throw Unfit("kind must be checkpoint, onnx or plan");
}

Io io_of(const std::string& name) {
  if (name == "frames") return Io::frames;
  if (name == "tensor") return Io::tensor;
  throw Unfit("io must be 'frames' or 'tensor'");
}

/// A sidecar, or the entry in an ONNX file's metadata, which has no sha256 of its own. name: of what is read.
Artifact parse_description(const fs::path& path, const std::string& name, const std::string& text,
                           const std::optional<std::string>& sha256) {
  const std::string what = sha256 ? "a description" : "a sidecar";
  Artifact artifact;
  artifact.path = path;
  try {
    const Json data = Json::parse(text);
    if (integer(data.at("schema"), std::numeric_limits<int>::min(), std::numeric_limits<int>::max(), "schema") != schema)
      throw Unfit("schema is not " + std::to_string(schema));
    artifact.kind = kind_of(data.at("kind").get<std::string>());
    artifact.io = io_of(data.at("io").get<std::string>());
    artifact.precision = data.at("precision").get<std::string>();
    if (artifact.precision != "f32" && artifact.precision != "f16" && artifact.precision != "int8")
      throw Unfit("precision must be f32, f16 or int8");
    artifact.shape = shape_of(data.at("shape"));
    const Json& spec = data.at("spec");
    artifact.input = input_of(spec.at("input"));
    artifact.classes = classes_of(spec);
    artifact.ignore_label = integer(spec.at("ignore_label"), 0, 255, "ignore label");
    artifact.sha256 = sha256 ? *sha256 : checked_sha256(data.at("sha256"));
    artifact.made_with = data.at("made_with").get<std::map<std::string, std::string>>();
    if (sha256 && artifact.kind != Kind::onnx) throw Unfit("kind is not onnx");
  } catch (const Json::parse_error& error) {
    throw ArtifactError(name + " can't be read: " + one_line(error.what()) + again);
  } catch (const Json::exception& error) {
    throw ArtifactError(name + " is not " + what + " of ours (" + one_line(error.what()) + ")" + again);
  } catch (const Unfit& error) {
    throw ArtifactError(name + " is not " + what + " of ours (" + error.what() + ")" + again);
  }
  return artifact;
}

/// Throw ArtifactError for an ONNX file that names other files, or is damaged. Anyone can write a description, so the
/// file is walked whatever describes it.
void require_one_file(const fs::path& path, const std::string& content) {
  switch (data_of(content)) {
    case Data::inside:
      return;
    case Data::outside:
      throw ArtifactError(path.string() + " keeps weights in other files, which is refused; save it as one file");
    case Data::unreadable:
      throw ArtifactError(path.string() + " is not a valid ONNX file, or cut short" + again);
  }
}

/// What both a sidecar and an ONNX file's metadata say of the file.
Json shared_facts(const std::string& text) {
  Json data = Json::parse(text, nullptr, false);
  if (data.is_object())
    for (const char* own : {"path", "sha256"}) data.erase(own);
  return data;
}

}  // namespace

File read_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw ArtifactError(path.string() + " does not exist");
  if (!fs::is_regular_file(status)) throw ArtifactError(path.string() + " is not a file");
  const fs::path sidecar = path.string() + ".json";
  const bool alone = !fs::exists(sidecar, error);
  const std::string text = alone ? "" : read_all(sidecar, max_sidecar_bytes, "not a sidecar of ours");
  Artifact artifact;
  if (!alone) artifact = parse_description(path, sidecar.string(), text, std::nullopt);
  std::string content = read_all(path, max_file_bytes, "not a CGNet");
  const std::optional<std::string> own = metadata_entry(content, "cgnet");
  if (alone) {
    if (!own) throw ArtifactError(path.string() + " has no sidecar " + sidecar.filename().string() + again);
    artifact = parse_description(path, "the metadata of " + path.string(), *own, sha256_of(content));
    require_one_file(path, content);
    return {std::move(artifact), std::move(content)};
  }
  const bool described = own && artifact.kind == Kind::onnx;
  if (described && shared_facts(*own) != shared_facts(text))
    throw ArtifactError(sidecar.string() + " contradicts the metadata of " + path.filename().string() + again);
  const std::string sha256 = sha256_of(content);
  if (sha256 != artifact.sha256) {
    if (!described)
      throw ArtifactError(path.string() + " is not the file that " + sidecar.filename().string() +
                          " describes (sha256 differs): it was cut or altered" + again);
    artifact.sha256 = sha256;
    artifact.warning = path.string() + " was changed after " + sidecar.filename().string() +
                       " was written (sha256 differs), by a tool that kept its metadata: it is taken for what those say";
  }
  if (artifact.kind == Kind::onnx) require_one_file(path, content);
  return {std::move(artifact), std::move(content)};
}

std::string spelled(const Shape& shape) {
  std::string fixed;
  std::vector<std::string> open;
  for (const auto& [name, side] : {std::pair{"N", shape.batch}, {"H", shape.height}, {"W", shape.width}})
    if (side == 0)
      open.emplace_back(name);
    else
      fixed += (fixed.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(side);
  if (open.empty()) return fixed;
  std::string any = (fixed.empty() ? "any " : ", any ") + open.front();
  if (open.size() == 3) any += ", " + open[1];
  return fixed + any + (open.size() > 1 ? " and " + open.back() : "");
}

Shape narrowed(const Artifact& artifact, const Shape& wanted) {
  const Shape& own = artifact.shape;
  const auto differs = [](int is, int want) { return want < 0 || (is != 0 && want != 0 && is != want); };
  if (differs(own.batch, wanted.batch) || differs(own.height, wanted.height) || differs(own.width, wanted.width))
    throw UsageError(artifact.path.string() + " takes " + spelled(own) + ", not " + spelled(wanted) +
                        "; export it again for the size you want");
  const auto side = [](int is, int want) { return is == 0 ? want : is; };
  return {side(own.batch, wanted.batch), side(own.height, wanted.height), side(own.width, wanted.width)};
}

std::string one_line(const std::string& text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string::npos) return "no reason given";
  std::string line = text.substr(start, text.find_first_of("\r\n", start) - start).substr(0, 200);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return line;
}

}  // namespace cgnet
