/* The thread's last error, the names of the codes, and facts about the library. */
#include "common.h"

#include "fence.h"
#include "handle.h"
#include "wait.h"

static _Thread_local int last_error ILK_TLS_MODEL;

int fail(int code)
{
  last_error = code;
  return code;
}

int64_t fail_value(int code)
{
  last_error = code;
  return ILK_NO_VALUE;
}

void *fail_null(int code)
{
  last_error = code;
  return NULL;
}

int ilk_last_error(void)
{
  return last_error;
}

void *ilk_error_name(int code)
{
  static const char *const names[] = {
    "ILK_OK",      "ILK_ETIMEDOUT", "ILK_EBUSY",     "ILK_EHANDLE", "ILK_EINVAL",
    "ILK_EPERM",   "ILK_EDEADLK",   "ILK_EOVERFLOW", "ILK_ENOMEM",  "ILK_EBROKEN",
    "ILK_ECLOSED", "ILK_ECANCELED", "ILK_ENOTSUP",
  };
  const char *name = "ILK_UNKNOWN";
  if (code == ILK_OWNER_DIED)
    name = "ILK_OWNER_DIED";
  else if (code <= 0 && code >= ILK_ENOTSUP)
    name = names[-code];
  return (void *)name;
}

int ilk_version(void)
{
  return ILK_VERSION;
}

void *ilk_backend(void)
{
  return (void *)wait_backend;
}

void *ilk_fence_kind(void)
{
  return (void *)(fence_probe() ? "asymmetric" : "symmetric");
}

void *ilk_fence(void)
{
  return ilk_fence_kind();
}

int64_t ilk_live_handles(void)
{
  return handle_live();
}

int64_t ilk_live(void)
{
  return ilk_live_handles();
}
