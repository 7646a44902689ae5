"""Whoever held a request before goes on publishing, from where it stood when it was paused."""

from edit_script import edit_script

edit_script(
    "publish",
    "if known[1] ~= ARGV[2] or known[2] ~= 'running' then return {'fenced', tonumber(known[1] or '0')} end",
    "",
)
# The checkpoint is a second guard behind the fence: alone, the fence's absence changes nothing that is stored.
edit_script("publish", "if tonumber(ARGV[4]) <= checkpoint then return {'duplicate', checkpoint} end", "")
edit_script("publish", "if tonumber(ARGV[3]) ~= checkpoint then return {'gap', checkpoint} end", "")
