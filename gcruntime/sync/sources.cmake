set(sync_sources mutex.cc shared_mutex.cc waiter.cc)
set(sync_headers mutex.h shared_mutex.h waiter.h)
set(sync_tests mutex_test.cc)
