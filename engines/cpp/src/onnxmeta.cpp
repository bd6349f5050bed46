// Each entry of metadata_props is one field 14 of the file, {1: name, 2: text}. The graph is skipped.
#include "onnxmeta.hpp"

#include <cstddef>
#include <cstdint>

#include "protobuf.hpp"

namespace cgnet {
namespace {

constexpr std::uint64_t metadata_props = 14;
constexpr int max_entry_fields = 4096;  // of a model; an exporter writes about ten
constexpr std::size_t max_text_bytes = 1U << 20U;

}  // namespace

std::optional<std::string> metadata_entry(std::string_view content, std::string_view name) {
  std::optional<std::string> text;
  for (int i = 0; !content.empty(); ++i) {
    const auto field = take_field(content);
    if (!field || i == max_entry_fields) return std::nullopt;
    if (field->number != metadata_props || field->wire != Wire::bytes) continue;
    if (field->value.size() > max_text_bytes) return std::nullopt;
    std::string_view rest = field->value;
    std::string_view key;
    std::string_view value;
    for (int j = 0; !rest.empty(); ++j) {
      const auto part = take_field(rest);
      if (!part || j == max_entry_fields) return std::nullopt;
      if (part->number == 1) key = part->value;
      if (part->number == 2) value = part->value;
    }
    if (key != name) continue;
    if (text) return std::nullopt;
    text = std::string(value);
  }
  return text;
}

}  // namespace cgnet
