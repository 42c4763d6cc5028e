/* replaced by the kernel */ typedef int gtcrn_placeholder;
