#include "nothing.h"

int nothing(void *object)
{
  return !object;
}

int nothing_again(void *object)
{
  return !object;
}
