# Completion of holdline for fish. What can stand at the cursor is said by `holdline complete`.
function __holdline_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines ($words[1] complete $words[2..-1] 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path (string replace -r '^--[a-z-]*=' '' -- $words[-1])
        case ':command *'
            set -l n (string replace ':command ' '' -- $lines[1])
            complete -C (string join -- ' ' (string escape -- $words[(math $n + 2)..-2]) $words[-1])
        case '*'
            printf '%s\n' $lines
    end
end
complete -c holdline -f -a '(__holdline_complete)'
