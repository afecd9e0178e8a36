/*
 * xml - any bytes as text within an XML document.
 */
#ifndef COORDINATOR_CLI_XML_H
#define COORDINATOR_CLI_XML_H

#include "common/base/buf.h"

/*
 * Appends s as UTF-8, good as content and between double quotes: what would be markup is escaped, what isn't a
 * character of XML is shown as U+FFFD. Of more than `most` characters (negative: no limit) the rest is three dots.
 */
void xml_text(struct buf *out, const char *s, int most);

#endif
