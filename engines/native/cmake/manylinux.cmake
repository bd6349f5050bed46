# Compile by zig, for a C library as old as that of any Linux in use, and with its own C++ library inside: a toolchain file.
# In the environment, CGNET_ZIG is the program, CGNET_MACHINE x86_64 or aarch64, and CGNET_GLIBC the version.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{CGNET_MACHINE})
set(CMAKE_CXX_COMPILER $ENV{CGNET_ZIG} c++ -target $ENV{CGNET_MACHINE}-linux-gnu.$ENV{CGNET_GLIBC})
set(CGNET_ALL_KERNELS ON CACHE BOOL "A wheel is for every CPU")
