set(os_sources reserved_memory.cc)
set(os_headers clock.h reserved_memory.h)
set(os_tests reserved_memory_test.cc)
