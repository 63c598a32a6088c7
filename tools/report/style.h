/* The style sheet of HTML reports, for light and dark. */
#pragma once

extern const char report_style[];
