// A file of cgnet-export and what describes it: what it is, what it was made from, and proof that it is intact.
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

/// How a BGR frame becomes the network's input: (channel - mean) / std, in the order that the network reads.
struct InputSpec {
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
  std::array<std::size_t, 3> channels{};  ///< which channel of a BGR pixel each plane reads
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
  std::string warning;  ///< that an ONNX file was changed after its sidecar was written, else empty
};

/// An artifact with the bytes whose sha256 was compared: they are read once, and a runtime gets these bytes.
struct File {
  Artifact artifact;
  std::string content;
};

/// Read `path` and its sidecar, or the description in its metadata of an ONNX file that has no sidecar. Throws
/// ArtifactError if one is missing, damaged or too large, or if they contradict each other. Another sha256 than the
/// sidecar's is a warning where the metadata say what the sidecar does, and else an error.
File read_file(const std::filesystem::path& path);

/// `N=8 H=360 W=480`, or `N=8, any H and W`.
std::string spelled(const Shape& shape);

/// The sides of `artifact`, with `wanted` where it leaves them open. Throws UsageError where they contradict.
Shape narrowed(const Artifact& artifact, const Shape& wanted);

/// The first line of a library's message, printable and short.
std::string one_line(const std::string& text);

}  // namespace cgnet
