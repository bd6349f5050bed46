# For the CPU engine within the library that tests install: one unit but for the kernels.
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 0)
