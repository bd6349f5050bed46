// An ONNX file is a protobuf message: a sequence of fields, each a key and a value, where
//
//   key = number << 3 | wire type      0 varint, 1 eight bytes, 2 length and so many bytes, 5 four bytes
//
// and each entry of metadata_props is one field 14, {1: name, 2: text}. The graph is skipped.
#include "onnxmeta.hpp"

#include <cstddef>
#include <cstdint>

namespace cgnet {
namespace {

constexpr std::uint64_t metadata_props = 14;
constexpr int max_fields = 4096;  // of a model; an exporter writes about ten
constexpr std::size_t max_text_bytes = 1U << 20U;
constexpr int varint_bytes = 10;

struct Field {
  std::uint64_t number = 0;
  bool is_bytes = false;
  std::string_view value;
};

/// The number that `bytes` begins with, which is taken off them.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (int i = 0; i < varint_bytes && static_cast<std::size_t>(i) < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    number |= static_cast<std::uint64_t>(byte & 0x7fU) << static_cast<unsigned>(7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(static_cast<std::size_t>(i) + 1);
      return number;
    }
  }
  return std::nullopt;
}

/// The field that `bytes` begins with, which is taken off them.
std::optional<Field> take_field(std::string_view& bytes) {
  const auto key = take_varint(bytes);
  if (!key || *key >> 3U == 0) return std::nullopt;
  std::uint64_t length = 0;
  switch (*key & 7U) {
    case 0:
      if (!take_varint(bytes)) return std::nullopt;
      break;
    case 1:
      length = 8;
      break;
    case 2: {
      const auto stated = take_varint(bytes);
      if (!stated) return std::nullopt;
      length = *stated;
      break;
    }
    case 5:
      length = 4;
      break;
    default:
      return std::nullopt;
  }
  if (length > bytes.size()) return std::nullopt;
  const Field field{*key >> 3U, (*key & 7U) == 2, bytes.substr(0, static_cast<std::size_t>(length))};
  bytes.remove_prefix(static_cast<std::size_t>(length));
  return field;
}

}  // namespace

std::optional<std::string> metadata_entry(std::string_view content, std::string_view name) {
  std::optional<std::string> text;
  for (int i = 0; !content.empty(); ++i) {
    const auto field = take_field(content);
    if (!field || i == max_fields) return std::nullopt;
    if (field->number != metadata_props || !field->is_bytes) continue;
    if (field->value.size() > max_text_bytes) return std::nullopt;
    std::string_view rest = field->value;
    std::string_view key;
    std::string_view value;
    for (int j = 0; !rest.empty(); ++j) {
      const auto part = take_field(rest);
      if (!part || j == max_fields) return std::nullopt;
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
