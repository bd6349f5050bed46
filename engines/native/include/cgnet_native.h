/* CGNet on a CPU, without a runtime: u8 frames in, u8 labels out.
 *
 *   cgnet_native *net;
 *   if (cgnet_native_open("cgnet.onnx", 0, NULL, NULL, &net)) { fprintf(stderr, "%s\n", cgnet_native_error()); return 1; }
 *   if (cgnet_native_run(net, frames, 1, 360, 480, labels)) ...
 *   cgnet_native_close(net);
 *
 * The file is what `cgnet-export --target native` writes, in f32 or int8; one in f32 may be computed in bf16. A network is
 * used by one thread at a time.
 */
#ifndef CGNET_NATIVE_H
#define CGNET_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#if defined(CGNET_NATIVE_API)  /* what is built into another library is not its interface */
#elif defined(__GNUC__)
#define CGNET_NATIVE_API __attribute__((visibility("default")))
#else
#define CGNET_NATIVE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cgnet_native cgnet_native;

typedef enum {
  CGNET_NATIVE_OK = 0,
  CGNET_NATIVE_FAILED = 1,      /* out of memory */
  CGNET_NATIVE_BAD_INPUT = 2,   /* a file or a size that this library doesn't take */
  CGNET_NATIVE_UNAVAILABLE = 5  /* instructions that this CPU doesn't have */
} cgnet_native_status;

/* Version of this library, "0.1.0". */
CGNET_NATIVE_API const char *cgnet_native_version(void);

/* What went wrong in the calling thread's last call that did, in one line. */
CGNET_NATIVE_API const char *cgnet_native_error(void);

/* Open the ONNX file at `path`. threads: 0 for one a core. instructions: "amx" (int8 and bf16), "avx512", "avx_vnni",
 * "avx2", "i8mm", "dotprod" or "generic"; NULL or "" for the best that this CPU has. arithmetic: of a file in f32, "f32" or "bf16", which rounds what
 * most products are of to 8 bits and is CGNET_NATIVE_UNAVAILABLE on a CPU without it; NULL or "" for f32. */
CGNET_NATIVE_API cgnet_native_status cgnet_native_open(const char *path, int threads, const char *instructions,
                                                       const char *arithmetic, cgnet_native **net);

/* The same, of the bytes of a file, which are not needed afterwards. */
CGNET_NATIVE_API cgnet_native_status cgnet_native_load(const void *file, size_t bytes, int threads,
                                                       const char *instructions, const char *arithmetic,
                                                       cgnet_native **net);

/* frames: (count, height, width, 3) BGR. labels: (count, height, width). Any height and width of 32 to 8192, at most 2^25
 * pixels; the first frames of another size than the ones before cost some memory and a millisecond. */
CGNET_NATIVE_API cgnet_native_status cgnet_native_run(cgnet_native *net, const uint8_t *frames, int count, int height,
                                                      int width, uint8_t *labels);

/* The scores of the last frame, before they are enlarged: (classes, ceil(height / 8), ceil(width / 8)). */
CGNET_NATIVE_API cgnet_native_status cgnet_native_scores(const cgnet_native *net, float *scores);

/* Keep each of its threads but the caller's on a core of its own, among those that the process may use, from the next
 * frame on (on: 1), or leave them to the system (0, as at first). On Linux; elsewhere it does nothing. */
CGNET_NATIVE_API void cgnet_native_pin(cgnet_native *net, int on);

/* How many classes it tells apart; what it computes in, "f32", "bf16" or "int8"; the instructions that it uses; its
 * threads; the bytes that it holds for frames of the last size. */
CGNET_NATIVE_API int cgnet_native_classes(const cgnet_native *net);
CGNET_NATIVE_API const char *cgnet_native_arithmetic(const cgnet_native *net);
CGNET_NATIVE_API const char *cgnet_native_instructions(const cgnet_native *net);
CGNET_NATIVE_API int cgnet_native_threads(const cgnet_native *net);
CGNET_NATIVE_API size_t cgnet_native_memory(const cgnet_native *net);

/* How many cores this process may keep busy: by its affinity and the CPU quotas of its cgroups. `threads` 0 is so many. */
CGNET_NATIVE_API int cgnet_native_cores(void);

/* The best instructions that this CPU has kernels for here, for files in int8, or in bf16 (arithmetic: as above); NULL
 * where it has none. */
CGNET_NATIVE_API const char *cgnet_native_best_instructions(const char *arithmetic);

/* Add up the time of each operator from now on (on: 1), or stop (0). Operator i is there until cgnet_native_operator
 * returns 0; it gives the operator's name in the file, what it does, its multiply-adds for a pixel of its result and its
 * time in ns, over all threads. */
CGNET_NATIVE_API void cgnet_native_profile(cgnet_native *net, int on);
CGNET_NATIVE_API int cgnet_native_operator(const cgnet_native *net, int i, const char **name, const char **kind,
                                           int64_t *macs, int64_t *ns);

/* NULL is fine. */
CGNET_NATIVE_API void cgnet_native_close(cgnet_native *net);

#ifdef __cplusplus
}
#endif
#endif
