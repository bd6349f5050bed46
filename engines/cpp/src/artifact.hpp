// A file of cgnet-export and its sidecar: what it is, what it came from, and that it is whole.
//
// The rules are those of cgnet_deploy/artifact.py and spec.py, and a sidecar that they refuse is refused here.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <cgnet/segmenter.hpp>

namespace cgnet {

enum class Kind { checkpoint, onnx, plan };
enum class Io {
  frames,  ///< (N, H, W, 3) u8 BGR in, (N, H, W) u8 labels out
  tensor,  ///< (N, 3, H, W) f32 in, already normalised, (N, K, H, W) f32 logits out
};

/// (N, H, W); 0 where any is taken.
struct Shape {
  int batch = 0;
  int height = 0;
  int width = 0;
};

/// How a BGR frame becomes the network's input: (channel - mean) / std, in the order in which the network reads.
struct InputSpec {
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
  std::array<std::size_t, 3> channels{};  ///< of a BGR pixel, which one each plane reads
};

struct Artifact {
  std::filesystem::path path;
  Kind kind = Kind::onnx;
  Io io = Io::frames;
  std::string precision;
  Shape shape;
  InputSpec input;
  std::vector<Class> classes;
  int ignore_label = 255;
  std::string sha256;
  std::map<std::string, std::string> made_with;  ///< tool -> version
};

/// An artifact with the bytes whose sha256 was compared: they are read once, and it is they that a runtime gets.
struct File {
  Artifact artifact;
  std::string content;
};

/// Read `path` and its sidecar. Throws ArtifactError if one is missing, damaged, too large, or not of the other.
File read_file(const std::filesystem::path& path);

/// What a sidecar says of `path`. Throws ArtifactError.
Artifact parse_sidecar(const std::filesystem::path& path, const std::string& text);

/// `8x360x480`, or `anyx360x480`.
std::string spelled(const Shape& shape);

/// What is `wanted` of a file's `own` sides. Throws UsageError where it has them fixed to others.
Shape narrowed(const Artifact& artifact, const Shape& wanted);

/// The first line of what a library said, printable and short, for a message of ours.
std::string one_line(const std::string& text);

}  // namespace cgnet
