// An ONNX file is a protobuf message: a sequence of fields, each a key and a value, where
//
//   key = number << 3 | wire type      0 varint, 1 eight bytes, 2 length and so many bytes, 5 four bytes
//
// The two wire types of groups, which ONNX doesn't use, are refused, as in cgnet_deploy/protobuf.py.
#include "protobuf.hpp"

#include <cstddef>
#include <limits>

namespace cgnet {
namespace {

constexpr std::size_t varint_bytes = 10;

}  // namespace

std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < varint_bytes && i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    number |= static_cast<std::uint64_t>(byte & 0x7fU) << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return number;
    }
  }
  return std::nullopt;
}

std::optional<Field> take_field(std::string_view& bytes) {
  const auto key = take_varint(bytes);
  if (!key || *key >> 3U == 0 || *key > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  Field field{*key >> 3U, Wire::fixed, bytes};
  std::uint64_t length = 0;
  switch (*key & 7U) {
    case 0: {
      if (!take_varint(bytes)) return std::nullopt;
      field.wire = Wire::varint;
      field.value.remove_suffix(bytes.size());
      return field;
    }
    case 1:
      length = 8;
      break;
    case 2: {
      const auto stated = take_varint(bytes);
      if (!stated) return std::nullopt;
      field.wire = Wire::bytes;
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
  field.value = bytes.substr(0, static_cast<std::size_t>(length));
  bytes.remove_prefix(static_cast<std::size_t>(length));
  return field;
}

}  // namespace cgnet
