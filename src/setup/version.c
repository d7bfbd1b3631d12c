/* The version that meson.build states. */
#include "trainer/trainer.h"

#ifndef TR_VERSION
#error "the build gives TR_VERSION"
#endif

const char *tr_version(void) {
    return TR_VERSION;
}
