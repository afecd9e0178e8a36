/*
 * version - of all three programs; they come from one tree.
 */
#ifndef COMMON_BASE_VERSION_H
#define COMMON_BASE_VERSION_H

#define ESPALIER_VERSION "0.1.0"

#endif
