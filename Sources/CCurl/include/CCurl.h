// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

// libcurl for Swift: its variadic functions behind typed ones, and the library itself loaded on first use.
//
// Linked in the usual way, libcurl brings some thirty shared libraries (TLS, Kerberos, LDAP, SSH, …) into every process:
// about 5 ms before the first line of a command that never talks to anybody. Loaded on first use, only the commands that
// talk pay. Types and constants come from the library's own header.

#ifndef TSUNAGU_CCURL_H
#define TSUNAGU_CCURL_H

// The header's argument checks are macros over names that this shim calls through pointers.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/// Loads and initialises libcurl. Returns NULL when all is well, else a sentence that says what is missing.
/// Call it once, before anything else here, from one thread.
const char *_Nullable ccurl_load(void);

CURL *_Nullable ccurl_easy_init(void);
void ccurl_easy_cleanup(CURL *_Nonnull handle);
CURLcode ccurl_easy_perform(CURL *_Nonnull handle);
const char *_Nonnull ccurl_easy_strerror(CURLcode code);

CURLcode ccurl_set_long(CURL *_Nonnull handle, CURLoption option, long value);
CURLcode ccurl_set_offset(CURL *_Nonnull handle, CURLoption option, curl_off_t value);
/// libcurl copies the string.
CURLcode ccurl_set_string(CURL *_Nonnull handle, CURLoption option, const char *_Nullable value);
/// libcurl keeps the pointer: what it points to must outlive its use.
CURLcode ccurl_set_pointer(CURL *_Nonnull handle, CURLoption option, const void *_Nullable value);
/// For CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION.
CURLcode ccurl_set_write_callback(CURL *_Nonnull handle, CURLoption option, curl_write_callback _Nullable callback);
CURLcode ccurl_set_progress_callback(CURL *_Nonnull handle, curl_xferinfo_callback _Nullable callback);

CURLcode ccurl_get_long(CURL *_Nonnull handle, CURLINFO info, long *_Nonnull value);
CURLcode ccurl_get_offset(CURL *_Nonnull handle, CURLINFO info, curl_off_t *_Nonnull value);

/// Appends a copy of `line`. Returns the list, or NULL when memory is short (the list stays as it was).
struct curl_slist *_Nullable ccurl_list_append(struct curl_slist *_Nullable list, const char *_Nonnull line);
void ccurl_list_free(struct curl_slist *_Nullable list);

#endif
