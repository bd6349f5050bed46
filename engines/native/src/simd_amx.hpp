// Tiles of AMX: 16 rows of 64 bytes, or of fewer rows of a map.
//
// In assembler: the compilers' intrinsics don't say that they read memory. Intel's manual, volume 1, chapter 18.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

constexpr int kTileRows = 16, kTileBytes = 64;
constexpr int kSumTiles = 4, kMapTiles = 2;  // tiles 0 to 3, 4 and 5; then those of weights, 6 and 7

struct TileShapes {
  uint8_t palette = 1, first_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {};  // of a row
  uint8_t rows[16] = {};
};

#ifndef CGNET_EMULATE
inline void tile_shapes(const TileShapes& shapes) { asm volatile("ldtilecfg %0" : : "m"(shapes)); }
inline void tile_release() { asm volatile("tilerelease"); }

// stride: bytes from row to row.
template <int kTile>
inline void tile_load(const uint8_t* at, ptrdiff_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(at), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
inline void tile_store(uint8_t* at, ptrdiff_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(at), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
inline void tile_zero() { asm volatile("tilezero %%tmm%c0" : : "i"(kTile)); }

// sum[row][lane] += the products of the map's row with the weights' lane: four of u8 and s8 a row of weights, or two of bf16.
template <int kSum, int kMap, int kWeights>
inline void tile_dot_u8() { asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kMap), "i"(kWeights)); }
template <int kSum, int kMap, int kWeights>
inline void tile_dot_bf16() { asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kMap), "i"(kWeights)); }
#endif

// rows: of maps and of their sums.
inline void shape_tiles(int rows) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; tile++) {
    shapes.bytes[tile] = kTileBytes;
    shapes.rows[tile] = static_cast<uint8_t>(tile < kSumTiles + kMapTiles ? rows : kTileRows);
  }
  tile_shapes(shapes);
}

}  // namespace
