// Tensors hide in more places than a graph's initializers: in attributes, sparse tensors, subgraphs, functions and
// training graphs. The walk follows every field that can lead to one.
#include "outside.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "protobuf.hpp"

namespace cgnet {
namespace {

constexpr int max_depth = 64;  // of messages within each other: a graph in an attribute of a node of a graph is 3
constexpr std::size_t max_messages = 1U << 20U;
constexpr std::size_t max_fields = 1U << 17U;  // of a message; a graph of a thousand nodes has a few thousand
constexpr std::uint32_t external = 1;          // of TensorProto.DataLocation
constexpr std::uint64_t external_data = 13;    // of TensorProto, as is data_location
constexpr std::uint64_t data_location = 14;

enum class Message { model, training, graph, function, node, attribute, sparse, tensor };

struct Lead {
  Message from;
  std::uint64_t number;
  Message to;
};

/// The fields that lead to a tensor, and the message that each holds (onnx.proto): LEADS in outside.py.
constexpr Lead leads[] = {
    {Message::model, 7, Message::graph},        {Message::model, 20, Message::training},
    {Message::model, 25, Message::function},    {Message::training, 1, Message::graph},
    {Message::training, 2, Message::graph},     {Message::graph, 1, Message::node},
    {Message::graph, 5, Message::tensor},       {Message::graph, 15, Message::sparse},
    {Message::function, 7, Message::node},      {Message::function, 11, Message::attribute},
    {Message::node, 5, Message::attribute},     {Message::attribute, 5, Message::tensor},
    {Message::attribute, 6, Message::graph},    {Message::attribute, 10, Message::tensor},
    {Message::attribute, 11, Message::graph},   {Message::attribute, 22, Message::sparse},
    {Message::attribute, 23, Message::sparse},  {Message::sparse, 1, Message::tensor},
    {Message::sparse, 2, Message::tensor},
};

std::optional<Message> led_to(Message from, std::uint64_t number) {
  for (const Lead& lead : leads)
    if (lead.from == from && lead.number == number) return lead.to;
  return std::nullopt;
}

/// Is this field of a tensor one that says that its data is in another file? Of an enum, protobuf drops the higher bits.
bool names_a_file(const Field& field) {
  std::string_view value = field.value;
  return field.number == external_data || (field.number == data_location && field.wire == Wire::varint &&
                                           static_cast<std::uint32_t>(take_varint(value).value_or(0)) == external);
}

struct Waiting {
  Message kind;
  std::string_view bytes;
  int depth;
};

}  // namespace

Data data_of(std::string_view content) {
  std::vector<Waiting> waiting{{Message::model, content, 0}};
  std::size_t seen = 0;
  while (!waiting.empty()) {
    Waiting message = waiting.back();
    waiting.pop_back();
    for (std::size_t i = 0; !message.bytes.empty(); ++i) {
      const auto field = take_field(message.bytes);
      if (!field || i == max_fields) return Data::unreadable;
      if (message.kind == Message::tensor) {
        if (names_a_file(*field)) return Data::outside;
        continue;
      }
      if (field->wire != Wire::bytes) continue;
      const auto inner = led_to(message.kind, field->number);
      if (!inner) continue;
      if (message.depth >= max_depth || ++seen > max_messages) return Data::unreadable;
      waiting.push_back({*inner, field->value, message.depth + 1});
    }
  }
  return Data::inside;
}

}  // namespace cgnet
