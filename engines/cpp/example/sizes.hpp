// Whether a video keeps its size, read from its packets. OpenCV 4.6 can't follow a change and does not report one: it
// keeps the first size, over memory that holds a picture of another size.
#pragma once

#include <filesystem>

/// Throws cgnet::FrameError if the frames of the video at `path` change their size within the first `limit`, or at all
/// if `limit` is 0. Only H.264, H.265, MPEG-2, VP8 and AV1 carry a frame's size in its packet; others are not checked.
/// Nothing is decoded: it takes about as long as reading the file.
void require_one_size(const std::filesystem::path& path, long limit);
