#include "sizes.hpp"

#include <memory>
#include <string>
#include <type_traits>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <cgnet/segmenter.hpp>

#include "video.hpp"

namespace {

// How far a decoder may run ahead of the frame that it returns: 16 frames to reorder, and one per thread.
constexpr long ahead = 64;

/// Some of FFmpeg's free functions take a pointer, others the pointer's address, which they set to null.
template <auto free_pointer>
struct Free {
  template <typename T>
  void operator()(T* pointer) const {
    if constexpr (std::is_invocable_v<decltype(free_pointer), T**>)
      free_pointer(&pointer);
    else
      free_pointer(pointer);
  }
};

std::unique_ptr<AVFormatContext, Free<avformat_close_input>> open(const std::filesystem::path& path) {
  AVDictionary* options = nullptr;
  av_dict_parse_string(&options, plain_videos, ";", "|", 0);
  AVFormatContext* format = nullptr;
  avformat_open_input(&format, path.c_str(), nullptr, &options);
  av_dict_free(&options);
  return std::unique_ptr<AVFormatContext, Free<avformat_close_input>>(format);
}

std::string sides(int height, int width) { return std::to_string(height) + "x" + std::to_string(width); }

}  // namespace

void require_one_size(const std::filesystem::path& path, long limit) {
  const auto format = open(path);
  if (!format || avformat_find_stream_info(format.get(), nullptr) < 0) return;  // the reader reports it
  const int video = av_find_best_stream(format.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (video < 0) return;
  const AVCodecParameters* const codec = format->streams[video]->codecpar;
  const std::unique_ptr<AVCodecContext, Free<avcodec_free_context>> context(avcodec_alloc_context3(nullptr));
  const std::unique_ptr<AVCodecParserContext, Free<av_parser_close>> parser(av_parser_init(codec->codec_id));
  const std::unique_ptr<AVPacket, Free<av_packet_free>> packet(av_packet_alloc());
  if (!context || !parser || !packet || avcodec_parameters_to_context(context.get(), codec) < 0) return;
  parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;  // av_read_frame has cut them

  int height = 0;
  int width = 0;
  for (long frame = 0; (limit == 0 || frame < limit + ahead) && av_read_frame(format.get(), packet.get()) >= 0;
       av_packet_unref(packet.get())) {
    if (packet->stream_index != video) continue;
    unsigned char* picture = nullptr;
    int bytes = 0;
    av_parser_parse2(parser.get(), context.get(), &picture, &bytes, packet->data, packet->size, packet->pts,
                     packet->dts, packet->pos);
    if (height == 0) {
      height = parser->height;
      width = parser->width;
    }
    if (parser->height != height || parser->width != width)
      throw cgnet::FrameError(path.string() + " changes its size at frame " + std::to_string(frame) + ", from " +
                              sides(height, width) + " to " + sides(parser->height, parser->width) +
                              "; cut the video there: an output has one size");
    ++frame;
  }
}
