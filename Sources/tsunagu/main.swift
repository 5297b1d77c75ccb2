import ArgumentParser
import TsunaguCarriers
print("hi")
