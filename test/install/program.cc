// A program that uses the library as it is installed: see script/test-install.
#include <interlock.h>

#include <cstdio>
#include <thread>
#include <vector>

namespace {

class Mutex {
 public:
  Mutex() : handle_(ilk_mutex_new(0)) {}
  ~Mutex() { ilk_mutex_free(handle_); }
  Mutex(const Mutex &) = delete;
  Mutex &operator=(const Mutex &) = delete;
  bool lock() { return ilk_mutex_lock(handle_) == ILK_OK; }
  bool unlock() { return ilk_mutex_unlock(handle_) == ILK_OK; }

 private:
  void *handle_;
};

}  // namespace

int main() {
  const int threads = 4, rounds = 10000;
  Mutex mutex;
  long count = 0;
  bool failed[threads] = {};
  std::vector<std::thread> all;
  for (int i = 0; i < threads; i++) {
    all.emplace_back([&, i] {
      for (int n = 0; n < rounds; n++) {
        failed[i] |= !mutex.lock();
        count++;
        failed[i] |= !mutex.unlock();
      }
    });
  }
  for (std::thread &thread : all) thread.join();
  for (bool f : failed) {
    if (f) return 1;
  }
  std::printf("%ld of %d, version %d\n", count, threads * rounds, ilk_version());
  return count != threads * rounds || ilk_version() != ILK_VERSION;
}
